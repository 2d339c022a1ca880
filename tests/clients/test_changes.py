"""Statements that change rows and answer some, as psycopg runs them."""

import threading

import psycopg
import pytest
from psycopg import errors


def test_an_insert_gives_the_row_back(conn, name):
    conn.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, v text, n numeric(8,2) DEFAULT 1.5)")
    with conn.cursor() as cur:
        cur.execute(f"INSERT INTO {name} (id, v) VALUES (%s, %s) RETURNING id, n", (7, "x"))
        assert [column.name for column in cur.description] == ["id", "n"]
        assert cur.fetchone() == (7, 1.5)
        assert (cur.rowcount, cur.statusmessage) == (1, "INSERT 0 1")
        cur.execute(f"UPDATE {name} SET v = %s WHERE id = %s RETURNING v || %s", ("y", 7, "!"))
        assert (cur.fetchall(), cur.statusmessage) == ([("y!",)], "UPDATE 1")
        cur.execute(f"DELETE FROM {name} WHERE id > %s RETURNING *", (7,))
        assert (cur.fetchall(), cur.statusmessage) == ([], "DELETE 0")
        cur.execute(f"DELETE FROM {name} WHERE id = %s RETURNING id", (7,), prepare=True)
        assert cur.fetchall() == [(7,)]


@pytest.mark.parametrize("prepare", [False, True])
def test_an_upsert_takes_parameters_anywhere(conn, name, prepare):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v bigint, w text)")
    sql = (
        f"INSERT INTO {name} VALUES (%s, %s, %s) ON CONFLICT (k) "
        f"DO UPDATE SET v = {name}.v + %s, w = %s WHERE {name}.v < %s RETURNING k, v, w"
    )
    rows = [
        conn.execute(sql, (1, 10, "a", 5, "b", 14), prepare=prepare).fetchall() for _ in range(3)
    ]
    assert rows == [[(1, 10, "a")], [(1, 15, "b")], []]


def test_a_merge_takes_parameters(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v bigint)")
    sql = (
        f"MERGE INTO {name} AS t USING (SELECT %s::int AS k) AS s ON t.k = s.k "
        "WHEN MATCHED THEN UPDATE SET v = t.v + %s WHEN NOT MATCHED THEN INSERT VALUES (s.k, %s) "
        "RETURNING merge_action(), t.v"
    )
    assert conn.execute(sql, (1, 5, 7)).fetchall() == [("INSERT", 7)]
    cursor = conn.execute(sql, (1, 5, 7))
    assert (cursor.fetchall(), cursor.statusmessage) == ([("UPDATE", 12)], "MERGE 1")


def test_many_rows_come_back(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY)")
    sql = f"INSERT INTO {name} SELECT i FROM generate_series(1, 30000) AS g (i) RETURNING k"
    with conn.cursor() as cur:
        cur.execute(sql)
        assert cur.rowcount == 30_000
        assert [k for (k,) in cur] == list(range(1, 30_001))


def test_executemany_with_returning(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v int)")
    with conn.cursor() as cur:
        insert = f"INSERT INTO {name} VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING k"
        cur.executemany(insert, [(1, 1), (2, 2), (1, 3)], returning=True)
        seen = [cur.fetchall()]
        while cur.nextset():
            seen.append(cur.fetchall())
    assert seen == [[(1,)], [(2,)], []]


def test_in_a_block(dsn, name):
    with psycopg.connect(dsn()) as block:
        block.execute(f"CREATE TABLE {name} (k int PRIMARY KEY)")
        assert block.execute(f"INSERT INTO {name} VALUES (1) RETURNING k").fetchone() == (1,)
        with pytest.raises(errors.UniqueViolation), block.transaction():
            block.execute(f"INSERT INTO {name} VALUES (1) RETURNING k")
        moved = f"WITH d AS (DELETE FROM {name} RETURNING k) SELECT k + %s FROM d"
        assert block.execute(moved, (1,)).fetchall() == [(2,)]
        block.rollback()


def test_upserts_at_once_all_count(dsn, conn, name):
    conn.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, n int)")
    upsert = f"INSERT INTO {name} VALUES (%s, 1) ON CONFLICT (k) DO UPDATE SET n = {name}.n + 1"

    def work():
        with psycopg.connect(dsn(), autocommit=True) as own:
            for k in range(20):
                while True:
                    try:
                        own.execute(upsert, (k % 2,))
                        break
                    except errors.SerializationFailure:
                        pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert conn.execute(f"SELECT k, n FROM {name} ORDER BY k").fetchall() == [(0, 40), (1, 40)]
