"""What Python programs do with psycopg 3."""

import datetime as dt
import threading
import time
import uuid
from decimal import Decimal

import psycopg
import pytest
from psycopg import errors

UTC = dt.timezone.utc
VALUES = [
    ("int2", -3),
    ("int4", 2**31 - 1),
    ("int8", -(2**63)),
    ("float4", 0.25),
    ("float8", 1.5),
    ("float8", float("inf")),
    ("numeric(20,5)", Decimal("-1.23456")),
    ("text", "hé\n\t"),
    ("bytea", b"\0\1\xff"),
    ("bool", True),
    ("date", dt.date(2024, 2, 29)),
    ("time", dt.time(1, 2, 3, 456)),
    ("timestamp", dt.datetime(2024, 2, 29, 1, 2, 3, 456)),
    ("timestamptz", dt.datetime(2024, 2, 29, 1, 2, 3, 456, UTC)),
    ("interval", dt.timedelta(days=3, seconds=5, microseconds=7)),
    ("uuid", uuid.UUID("09904ccf-6642-4549-b190-d27e00226ef3")),
    ("int4[]", [1, None, 3]),
    ("float8[]", [1.5, -2.5]),
    ("text[]", ["a", None, 'b,"c']),
]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("sql_type, value", VALUES)
def test_a_value_goes_round(conn, name, sql_type, value, binary):
    slot = "%b" if binary else "%t"
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v {sql_type})")
    conn.execute(f"INSERT INTO {name} VALUES (1, {slot}), (2, {slot})", [value, None])
    cursor = conn.cursor(binary=binary)
    rows = cursor.execute(f"SELECT v FROM {name} ORDER BY id").fetchall()
    assert rows == [(value,), (None,)]
    wanted = psycopg.adapters.types[sql_type.split("(")[0].removesuffix("[]")]
    assert cursor.description[0].type_code == (
        wanted.array_oid if sql_type.endswith("[]") else wanted.oid
    )


def test_prepared_and_in_a_pipeline(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    with conn.pipeline():
        for i in range(10):
            conn.execute(f"INSERT INTO {name} VALUES (%s)", [i], prepare=True)
        counted = conn.execute(f"SELECT count(*) FROM {name}")
        assert counted.fetchone() == (10,)
    for i in range(10):
        found = conn.execute(f"SELECT id FROM {name} WHERE id = %s", [i], prepare=True)
        assert found.fetchall() == [(i,)]


def test_executemany(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    cursor = conn.cursor()
    cursor.executemany(f"INSERT INTO {name} VALUES (%s)", [(i,) for i in range(100)])
    assert cursor.rowcount == 100
    assert conn.execute(f"SELECT count(*), sum(id) FROM {name}").fetchone() == (100, 4950)


@pytest.mark.parametrize("options", ["", "(FORMAT binary)"], ids=["text", "binary"])
def test_copy_in_and_out(conn, name, options):
    types = ["int4", "text", "timestamptz", "numeric"]
    day = dt.datetime(2024, 1, 1, tzinfo=UTC)
    rows = [(i, None if i % 3 == 0 else f"n\t{i}", day, Decimal(i)) for i in range(10)]
    conn.execute(
        f"CREATE TABLE {name} (id int PRIMARY KEY, n text, at timestamptz, d numeric(10,2))"
    )
    cursor = conn.cursor()
    with cursor.copy(f"COPY {name} FROM STDIN {options}") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
    assert cursor.rowcount == 10
    with cursor.copy(f"COPY (SELECT * FROM {name} ORDER BY id) TO STDOUT {options}") as copy:
        copy.set_types(types)
        assert list(copy.rows()) == rows


def test_a_copy_that_fails_leaves_nothing(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    with pytest.raises(errors.UniqueViolation), conn.cursor().copy(f"COPY {name} FROM STDIN") as copy:
        copy.write("1\n2\n1\n")
    assert conn.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)


def test_errors_say_what_and_where(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    conn.execute(f"INSERT INTO {name} VALUES (1)")
    with pytest.raises(errors.UniqueViolation) as key:
        conn.execute(f"INSERT INTO {name} VALUES (1)")
    assert key.value.sqlstate == "23505"
    assert key.value.diag.message_detail == "Key (id)=(1) already exists."
    with pytest.raises(errors.SyntaxError) as syntax:
        conn.execute("SELECT 1 frm frm x")
    assert syntax.value.diag.statement_position == "14"
    with pytest.raises(errors.DivisionByZero):
        conn.execute("SELECT 1/0")


def test_two_that_write_one_row(conn, dsn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v int)")
    conn.execute(f"INSERT INTO {name} VALUES (1, 0)")
    with psycopg.connect(dsn()) as first, psycopg.connect(dsn()) as second:
        first.execute(f"UPDATE {name} SET v = 1")
        assert second.execute(f"SELECT v FROM {name}").fetchone() == (0,)
        first.commit()
        with pytest.raises(errors.SerializationFailure):
            second.execute(f"UPDATE {name} SET v = 2")
            second.commit()
        second.rollback()
    assert conn.execute(f"SELECT v FROM {name}").fetchone() == (1,)


def test_transactions_inside_transactions(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    with conn.transaction():
        conn.execute(f"INSERT INTO {name} VALUES (1)")
        with pytest.raises(errors.UniqueViolation), conn.transaction():
            conn.execute(f"INSERT INTO {name} VALUES (2)")
            conn.execute(f"INSERT INTO {name} VALUES (1)")
        with conn.transaction():
            conn.execute(f"INSERT INTO {name} VALUES (3)")
    with pytest.raises(ZeroDivisionError), conn.transaction():
        conn.execute(f"INSERT INTO {name} VALUES (4)")
        raise ZeroDivisionError
    assert conn.execute(f"SELECT id FROM {name} ORDER BY id").fetchall() == [(1,), (3,)]


def test_a_branch_by_its_database_name(conn, dsn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    conn.execute(f"CREATE BRANCH b{name}")
    with psycopg.connect(dsn(f"main@b{name}")) as branch:
        branch.execute(f"INSERT INTO {name} VALUES (1)")
    count = f"SELECT count(*) FROM {name}"
    with psycopg.connect(dsn(f"main@b{name}")) as branch:
        assert branch.execute(count).fetchone() == (1,)
    assert conn.execute(count).fetchone() == (0,)


@pytest.mark.parametrize("clause", ["FOR SYSTEM_VERSION AS OF %s", "AT (VERSION => %s)"])
def test_a_version_is_a_parameter(conn, name, clause):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)")
    conn.execute(f"INSERT INTO {name} VALUES (1, 'old')")
    (version,) = conn.execute(f"SELECT max(snapshot_id) FROM {name}.snapshots").fetchone()
    conn.execute(f"CREATE TAG t{name}")
    conn.execute(f"UPDATE {name} SET v = 'new'")
    query = f"SELECT v FROM {name} {clause}"
    for old in (version, str(version), f"t{name}"):
        assert conn.execute(query, [old], prepare=True).fetchall() == [("old",)]
    assert conn.execute(query, [version + 1]).fetchall() == [("new",)]
    with pytest.raises(errors.UndefinedObject):
        conn.execute(query, [10**9])


def test_a_version_parameter_means_what_it_is(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int)")
    conn.execute(f"INSERT INTO {name} VALUES (1)")
    (version, at) = conn.execute(
        f"SELECT snapshot_id, committed_at FROM {name}.snapshots ORDER BY 1 DESC LIMIT 1"
    ).fetchone()
    conn.execute(f"INSERT INTO {name} VALUES (2)")
    count = f"SELECT count(*) FROM {name} "
    versions = [version, str(version), at, str(at), at.replace(tzinfo=None)]
    conn.execute("SET timezone = 'UTC'")
    for old in versions:
        assert conn.execute(count + "VERSION AS OF %s", [old]).fetchone() == (1,), old
    for old in [at, str(at), at.replace(tzinfo=None), at.timestamp() + 0.0001]:
        found = conn.execute(count + "FOR SYSTEM_TIME AS OF %s", [old])
        assert found.fetchone() == (1,), old
    late = conn.execute(count + "TIMESTAMP AS OF %s - %s", [at, dt.timedelta(0)])
    assert late.fetchone() == (1,)
    assert conn.execute(f"EXPLAIN {count} VERSION AS OF %s", [version]).fetchall()
    with pytest.raises(errors.InvalidParameterValue, match="a version cannot be 1.5"):
        conn.execute(count + "VERSION AS OF %s", [1.5])
    with pytest.raises(errors.InvalidParameterValue):
        conn.execute(count + "VERSION AS OF %s", [Decimal("1.5")])
    with pytest.raises(errors.InvalidDatetimeFormat):
        conn.execute(count + "TIMESTAMP AS OF %s", ["nothing"])


def test_procedures_take_parameters(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int)")
    conn.execute(f"INSERT INTO {name} VALUES (1)")
    (version, at) = conn.execute(
        f"SELECT snapshot_id, committed_at FROM {name}.snapshots ORDER BY 1 DESC LIMIT 1"
    ).fetchone()
    for call, values in [
        ("system.rollback_to_snapshot(%s, %s)", [name, version]),
        ("system.rollback_to_timestamp(%s, %s)", [name, at]),
        ("system.rollback_to_timestamp(table => %s, timestamp => %s)", [name, str(at)]),
        ("system.expire_snapshots(%s, %s, %s)", [name, at, 5]),
        ("system.remove_orphan_files(table => %s, older_than => %s, dry_run => %s)", [name, at, True]),
    ]:
        conn.execute(f"INSERT INTO {name} VALUES (2)")
        conn.execute(f"CALL {call}", values)
    conn.execute(f"CALL system.rollback_to_snapshot('{name}', %s)", [version])
    assert conn.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,)


def test_a_plan_as_json(conn, name):
    conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    cursor = conn.execute(f"EXPLAIN (FORMAT JSON) SELECT * FROM {name} WHERE id > 3")
    assert cursor.description[0].type_code == psycopg.adapters.types["json"].oid
    ((plans,),) = cursor.fetchall()
    nodes, names = [plans[0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        names.append(node["Node Type"])
        nodes += node.get("Plans", [])
    assert "SegmentScanExec" in names and "Execution Time" not in plans[0]
    ((plans,),) = conn.execute(
        f"EXPLAIN (ANALYZE, FORMAT JSON) INSERT INTO {name} SELECT x FROM generate_series(1, %s) s(x)",
        [7],
    ).fetchall()
    assert plans[0]["Plan"]["Node Type"] == "INSERT" and plans[0]["Plan"]["Actual Rows"] == 7
    assert plans[0]["Execution Time"] > 0
    assert conn.execute(f"SELECT count(*) FROM {name}").fetchone() == (7,)
    ((plans,),) = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {name}").fetchall()
    node = plans[0]["Plan"]
    while "Plans" in node:
        (node,) = node["Plans"]
    assert node["Actual Rows"] == 7


def test_cancel(conn):
    timer = threading.Timer(0.5, conn.cancel)
    began = time.monotonic()
    timer.start()
    with pytest.raises(errors.QueryCanceled):
        conn.execute("SELECT count(*) FROM generate_series(1, 20000000000)")
    assert time.monotonic() - began < 5
    assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("reset", ["DISCARD ALL", "RESET ALL"])
def test_what_pools_send_between_users(conn, reset):
    conn.execute("SET timezone = 'Asia/Tokyo'")
    conn.execute("UNLISTEN *")
    conn.execute(reset)
    (zone,) = conn.execute("SHOW timezone").fetchone()
    assert zone != "Asia/Tokyo"
    assert conn.execute("SELECT %s::int", [7]).fetchone() == (7,)


def test_an_error_has_its_position(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v text)")
    for kind, query in [
        (errors.UndefinedColumn, "SELECT ^nope"),
        (errors.UndefinedColumn, f"SELECT k,\n  {name}.v, ^x.k FROM {name}"),
        (errors.UndefinedColumn, f"SELECT k FROM {name} -- ä\nWHERE v = 'ö' AND ^nope > 1"),
        (errors.UndefinedColumn, f"INSERT INTO {name} (k, ^nope) VALUES (1, 2)"),
        (errors.UndefinedColumn, f"UPDATE {name} SET ^nope = 1"),
        (errors.UndefinedTable, f"SELECT 1; SELECT * FROM {name} JOIN ^nowhere USING (k)"),
        (errors.UndefinedTable, "DELETE FROM ^nowhere"),
        (errors.UndefinedFunction, "SELECT 1 + ^no_such(2)"),
        (errors.AmbiguousColumn, f"SELECT ^k FROM {name} a, {name} b"),
        (errors.SyntaxError, "SELECT 1,^, 2"),
    ]:
        with pytest.raises(kind) as raised:
            conn.execute(query.replace("^", ""))
        position = raised.value.diag.statement_position
        assert position is not None, query
        assert int(position) == query.index("^") + 1, query


def test_an_error_names_its_object(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v text NOT NULL)")
    conn.execute(f"INSERT INTO {name} VALUES (1, 'a')")
    with pytest.raises(errors.UniqueViolation) as key:
        conn.execute(f"INSERT INTO {name} VALUES (1, 'b')")
    diag = key.value.diag
    assert (diag.schema_name, diag.table_name) == ("public", name)
    assert diag.constraint_name == f"{name}_pkey"
    with pytest.raises(errors.NotNullViolation) as null:
        conn.execute(f"INSERT INTO {name} VALUES (2, NULL)")
    diag = null.value.diag
    assert (diag.table_name, diag.column_name) == (name, "v")


def test_copy_tells_the_line(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY)")
    with pytest.raises(errors.InvalidTextRepresentation) as raised:
        with conn.cursor().copy(f"COPY {name} FROM STDIN") as copy:
            copy.write(b"1\n2\nx\n")
    assert raised.value.diag.context == f'COPY {name}, line 3, column k: "x"'


def test_a_cast_parameter_that_is_text(conn):
    value = ["a", None, 'b,"c']
    assert conn.execute("SELECT %t::text[]", [value]).fetchone() == (value,)


def test_an_empty_array(conn):
    assert conn.execute("SELECT '{}'::int8[]").fetchone() == ([],)
