"""What Python programs do with asyncpg, which speaks the binary extended protocol only."""

import asyncio
import datetime as dt
import io
import uuid
from decimal import Decimal

import asyncpg
import pytest

UTC = dt.timezone.utc
MOMENT = dt.datetime(2024, 2, 29, 1, 2, 3, 456, UTC)
VALUES = [
    ("int2", -3),
    ("int4", 2**31 - 1),
    ("int8", -(2**63)),
    ("float4", 0.25),
    ("float8", 1.5),
    ("numeric(20,5)", Decimal("-1.23456")),
    ("text", "hé"),
    ("varchar(10)", "abc"),
    ("bytea", b"\0\1\xff"),
    ("bool", True),
    ("date", dt.date(2024, 2, 29)),
    ("time", dt.time(1, 2, 3, 456)),
    ("timestamp", MOMENT.replace(tzinfo=None)),
    ("timestamptz", MOMENT),
    ("interval", dt.timedelta(days=3, seconds=5, microseconds=7)),
    ("uuid", uuid.UUID("09904ccf-6642-4549-b190-d27e00226ef3")),
    ("json", '{"a": 1}'),
    ("jsonb", '{"a": 1}'),
    ("int4[]", [1, None, 3]),
    ("int8[]", []),
    ("float8[]", [1.5, -2.5]),
    ("numeric(20,5)[]", [Decimal("1.5")]),
    ("text[]", ["a", None, 'b,"c']),
    ("bytea[]", [b"\0\xff", None]),
    ("bool[]", [True, False]),
    ("timestamptz[]", [MOMENT, None]),
    ("uuid[]", [uuid.UUID(int=7)]),
]


@pytest.fixture
def run(port):
    """Runs a coroutine function with a connection, within 20 s."""

    def go(test, database="main"):
        async def whole():
            conn = await asyncpg.connect(
                host="127.0.0.1", port=port, user="ann", database=database, timeout=10
            )
            try:
                return await test(conn)
            finally:
                conn.terminate()

        return asyncio.run(asyncio.wait_for(whole(), 20))

    return go


@pytest.mark.parametrize("sql_type, value", VALUES)
def test_a_value_goes_round(run, name, sql_type, value):
    async def test(conn):
        row = await conn.fetchrow(
            f"SELECT $1::{sql_type} AS v, NULL::{sql_type} AS n, CAST($1 AS {sql_type}) AS c", value
        )
        assert tuple(row) == (value, None, value)
        await conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v {sql_type})")
        await conn.execute(f"INSERT INTO {name} VALUES (1, $1), (2, NULL)", value)
        await conn.execute(f"UPDATE {name} SET v = $1 WHERE id = $2", value, 2)
        await conn.copy_records_to_table(name, records=[(3, value), (4, None)])
        rows = await conn.fetch(f"SELECT v FROM {name} ORDER BY id")
        assert [row["v"] for row in rows] == [value, value, value, None]

    run(test)


@pytest.mark.parametrize(
    "query, types",
    [
        ("SELECT $1::int4, $2::text, $3::timestamptz[]", ["int4", "text", "timestamptz[]"]),
        ("SELECT CAST($1 AS smallint) + $2::int8", ["int2", "int8"]),
        ("SELECT count(*) FROM {t} WHERE id = $1 AND n LIKE $2", ["int8", "text"]),
        ("SELECT n FROM {t} WHERE id BETWEEN $1 AND $2 OR at > $3", ["int8", "int8", "timestamptz"]),
        ("SELECT n FROM {t} WHERE id = ANY($1) AND u IN ($2, $3)", ["int8[]", "uuid", "uuid"]),
        ("SELECT coalesce(id, $1) FROM {t} LIMIT $2 OFFSET $3", ["int8", "int8", "int8"]),
        ("INSERT INTO {t} (at, id) VALUES ($1, $2)", ["timestamptz", "int8"]),
        ("SELECT * FROM generate_series(1, $1)", ["int8"]),
        ("INSERT INTO {t} (id, n) SELECT $1, n FROM {t} WHERE at = $2", ["int8", "timestamptz"]),
        ("UPDATE {t} SET n = $1 WHERE u = $2 AND id < $3::int4", ["varchar", "uuid", "int4"]),
        ("DELETE FROM {t} WHERE at < $1", ["timestamptz"]),
        ("SELECT oid, typname FROM pg_type WHERE oid = $1", ["oid"]),
        ("SELECT n FROM {t} VERSION AS OF $1 WHERE id = $2", ["text", "int8"]),
        ("SELECT n FROM {t} VERSION AS OF $1::int8", ["int8"]),
        ("SELECT n FROM {t} TIMESTAMP AS OF $1 - $2", ["timestamptz", "interval"]),
        ("SELECT n FROM {t} AT (SNAPSHOT => $1) a JOIN {t} AT (OFFSET => $2) b USING (n)", ["text", "int8"]),
        ("SELECT n FROM {t} FOR SYSTEM_TIME FROM $1 TO $2", ["timestamptz", "timestamptz"]),
        ("SELECT n FROM {t} AS OF SYSTEM TIME $1", ["timestamptz"]),
        ("INSERT INTO {t} (id) SELECT id FROM {t} FOR SYSTEM_TIME AS OF $1", ["timestamptz"]),
        ("CALL system.rollback_to_snapshot($1, $2)", ["text", "int8"]),
        ("CALL system.expire_snapshots($1, $2, $3)", ["text", "timestamptz", "int8"]),
        ("CALL system.remove_orphan_files(dry_run => $1, older_than => $2)", ["bool", "timestamptz"]),
    ],
)
def test_parameters_are_described_by_their_type(run, name, query, types):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (id int8, n varchar(9), at timestamptz, u uuid)")
        statement = await conn.prepare(query.format(t=name))
        assert [kind.name for kind in statement.get_parameters()] == types

    run(test)


def test_a_version_is_a_parameter(run, name):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (id int8)")
        await conn.execute(f"INSERT INTO {name} VALUES (1)")
        version, at = await conn.fetchrow(
            f"SELECT snapshot_id, committed_at FROM {name}.snapshots ORDER BY 1 DESC LIMIT 1"
        )
        await conn.execute(f"CREATE TAG t{name}")
        await conn.execute(f"INSERT INTO {name} VALUES (2)")
        count = f"SELECT count(*) FROM {name} "
        for clause, old in [
            ("VERSION AS OF $1", f"t{name}"),
            ("VERSION AS OF $1", str(version)),
            ("VERSION AS OF $1::int8", version),
            ("VERSION AS OF $1::timestamptz", at),
            ("FOR SYSTEM_TIME AS OF $1", at),
            ("TIMESTAMP AS OF $1", at),
            ("AT (VERSION => $1)", f"t{name}"),
        ]:
            assert await conn.fetchval(count + clause, old) == 1, clause
        moved = await conn.fetchrow("CALL system.rollback_to_snapshot($1, $2)", name, version)
        assert moved["previous_snapshot_id"] > version
        assert await conn.fetchval(count) == 1

    run(test)


def test_columns_are_described_by_their_type(run):
    async def test(conn):
        statement = await conn.prepare(
            "SELECT oid, typname, typtype, ARRAY[oid] AS oids, $1::date AS d FROM pg_type"
        )
        kinds = [(column.name, column.type.oid) for column in statement.get_attributes()]
        assert kinds == [("oid", 26), ("typname", 19), ("typtype", 18), ("oids", 1028), ("d", 1082)]
        row = await conn.fetchrow(
            "SELECT oid, typname, typtype, ARRAY[oid] AS oids FROM pg_type WHERE oid = $1", 20
        )
        assert tuple(row) == (20, "int8", b"b", [20])

    run(test)


def test_prepared_statements(run, name):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, n text)")
        rows = [(i, None if i % 3 == 0 else f"n{i}") for i in range(200)]
        await conn.executemany(f"INSERT INTO {name} VALUES ($1, $2)", rows)
        found = await conn.prepare(f"SELECT n FROM {name} WHERE id = $1")
        assert [await found.fetchval(i) for i, _ in rows] == [n for _, n in rows]
        assert await found.fetchval(1000) is None
        many = await conn.fetch(f"SELECT id FROM {name} WHERE id = ANY($1) ORDER BY id", [3, 5, 999])
        assert [row["id"] for row in many] == [3, 5]

    run(test)


def test_executemany_is_one_transaction(run, name):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await conn.executemany(f"INSERT INTO {name} VALUES ($1)", [(1,), (2,), (1,)])
        assert await conn.fetchval(f"SELECT count(*) FROM {name}") == 0

    run(test)


def test_cursors_read_by_pages(run, name):
    async def test(conn):
        every = "SELECT x FROM generate_series(1, 1000) s(x) WHERE x > $1 ORDER BY x"
        async with conn.transaction():
            read = [row["x"] async for row in conn.cursor(every, 10, prefetch=64)]
            assert read == list(range(11, 1001))
            cursor = await conn.cursor(every, 0)
            assert await cursor.forward(5) == 5
            assert [row["x"] for row in await cursor.fetch(3)] == [6, 7, 8]
            assert (await cursor.fetchrow())["x"] == 9

    run(test)


def test_copy_both_ways(run, name):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v text, x double precision)")
        rows = [(i, None if i % 7 == 0 else f"v{i}", i / 3) for i in range(5000)]
        assert await conn.copy_records_to_table(name, records=rows) == "COPY 5000"
        found = await conn.fetch(f"SELECT * FROM {name} ORDER BY k")
        assert [tuple(row) for row in found] == rows
        out = io.BytesIO()
        query = f"SELECT k, v FROM {name} WHERE k < $1 ORDER BY k"
        await conn.copy_from_query(query, 3, output=out, format="csv", header=True)
        assert out.getvalue() == b"k,v\n0,\n1,v1\n2,v2\n"
        out = io.BytesIO()
        await conn.copy_from_table(name, columns=["k"], output=out)
        assert sorted(map(int, out.getvalue().split())) == list(range(5000))
        source = io.BytesIO(b"7000,a\n7001,b\n")
        done = await conn.copy_to_table(name, source=source, columns=["k", "v"], format="csv")
        assert done == "COPY 2"

    run(test)


def test_savepoints_and_errors(run, name):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
        async with conn.transaction():
            await conn.execute(f"INSERT INTO {name} VALUES (1)")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with conn.transaction():
                    await conn.execute(f"INSERT INTO {name} VALUES (1)")
            await conn.execute(f"INSERT INTO {name} VALUES (2)")
        assert await conn.fetchval(f"SELECT count(*) FROM {name}") == 2
        with pytest.raises(ZeroDivisionError):
            async with conn.transaction():
                await conn.execute(f"INSERT INTO {name} VALUES (3)")
                raise ZeroDivisionError
        assert await conn.fetchval(f"SELECT count(*) FROM {name}") == 2

    run(test)


def test_errors_have_their_class(run):
    async def test(conn):
        for kind, query, values in [
            (asyncpg.UndefinedTableError, "SELECT * FROM nothing", []),
            (asyncpg.UndefinedColumnError, "SELECT nothing", []),
            (asyncpg.DivisionByZeroError, "SELECT 1 / $1::int", [0]),
            (asyncpg.PostgresSyntaxError, "SELEC 1", []),
            (asyncpg.InvalidTextRepresentationError, "SELECT 'x'::text::int", []),
        ]:
            with pytest.raises(kind):
                await conn.fetch(query, *values)
        assert await conn.fetchval("SELECT 1") == 1

    run(test)


def test_a_timeout_cancels(run):
    async def test(conn):
        with pytest.raises(asyncio.TimeoutError):
            await conn.fetch("SELECT pg_sleep(60)", timeout=0.3)
        assert await conn.fetchval("SELECT 1") == 1

    run(test)


def test_a_changed_table_is_planned_anew(run, name):
    async def test(conn):
        await conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
        await conn.execute(f"INSERT INTO {name} VALUES (1)")
        assert tuple(await conn.fetchrow(f"SELECT * FROM {name}")) == (1,)
        await conn.execute(f"DROP TABLE {name}; CREATE TABLE {name} (id int, n text)")
        await conn.execute(f"INSERT INTO {name} VALUES (1, 'a')")
        # The client drops its statement and prepares it again.
        assert tuple(await conn.fetchrow(f"SELECT * FROM {name}")) == (1, "a")

    run(test)


def test_a_pool_resets_its_connections(port):
    async def test():
        async with asyncpg.create_pool(
            host="127.0.0.1", port=port, user="ann", database="main", min_size=1, max_size=1
        ) as pool:
            async with pool.acquire() as conn:
                await conn.execute("SET timezone = 'Asia/Tokyo'")
            async with pool.acquire() as conn:
                assert await conn.fetchval("SHOW timezone") != "Asia/Tokyo"
            found = await asyncio.gather(*(pool.fetchval("SELECT $1::int", i) for i in range(40)))
            assert found == list(range(40))

    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_branch_by_the_databases_name(run, name):
    async def on_main(conn):
        await conn.execute(f"CREATE TABLE {name} (k int)")
        await conn.execute(f"CREATE BRANCH b{name}")

    async def on_branch(conn):
        await conn.execute(f"INSERT INTO {name} VALUES (1)")
        return await conn.fetchval(f"SELECT count(*) FROM {name}")

    async def count(conn):
        return await conn.fetchval(f"SELECT count(*) FROM {name}")

    run(on_main)
    assert run(on_branch, f"main@b{name}") == 1
    assert run(count) == 0
