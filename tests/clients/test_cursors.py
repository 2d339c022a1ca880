"""psycopg's server-side cursors and SQL's own prepared statements."""

import psycopg
import pytest
from psycopg import errors

SERIES = "SELECT x, 'n' || x AS n FROM generate_series(1, %s) s(x) ORDER BY x"


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_a_named_cursor_reads_by_pages(conn, binary):
    with conn.transaction(), conn.cursor("c", binary=binary) as cursor:
        cursor.itersize = 70
        cursor.execute(SERIES, [1000])
        assert [column.name for column in cursor.description] == ["x", "n"]
        assert cursor.fetchone() == (1, "n1")
        assert cursor.fetchmany(2) == [(2, "n2"), (3, "n3")]
        assert [row[0] for row in cursor] == list(range(4, 1001))
        assert cursor.fetchall() == []


def test_scrolling(conn):
    with conn.transaction(), conn.cursor("c", scrollable=True) as cursor:
        cursor.execute(SERIES, [20])
        cursor.scroll(10)
        assert cursor.fetchone() == (11, "n11")
        cursor.scroll(-3)
        assert cursor.fetchone() == (9, "n9")
        cursor.scroll(0, mode="absolute")
        assert [row[0] for row in cursor] == list(range(1, 21))
    with conn.transaction(), conn.cursor("d", scrollable=False) as cursor:
        cursor.execute(SERIES, [20])
        cursor.fetchmany(5)
        with pytest.raises(errors.ObjectNotInPrerequisiteState):
            cursor.scroll(-1)
        raise psycopg.Rollback()


def test_a_held_cursor_outlives_its_transaction(conn, name):
    conn.execute(f"CREATE TABLE {name} (k int)")
    conn.execute(f"INSERT INTO {name} SELECT x FROM generate_series(1, 100) s(x)")
    with conn.cursor("held", withhold=True) as cursor:
        with conn.transaction():
            cursor.execute(f"SELECT k FROM {name} ORDER BY k")
            assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
        conn.execute(f"DELETE FROM {name}")
        assert [row[0] for row in cursor] == list(range(4, 101))


def test_sql_runs_what_the_protocol_prepared(dsn):
    with psycopg.connect(dsn(), autocommit=True) as conn:
        conn.prepare_threshold = 0
        assert conn.execute("SELECT %s::int + 1", [2]).fetchone() == (3,)
        names = conn.execute(
            "SELECT name FROM pg_prepared_statements WHERE NOT from_sql", prepare=False
        ).fetchall()
        (prepared,) = [name for (name,) in names]
        assert conn.execute(f'EXECUTE "{prepared}" (41)', prepare=False).fetchone() == (42,)
        conn.execute(f'DEALLOCATE "{prepared}"', prepare=False)
        with pytest.raises(errors.InvalidSqlStatementName):
            conn.execute(f'EXECUTE "{prepared}" (41)', prepare=False)


def test_the_protocol_runs_what_sql_prepared(dsn):
    with psycopg.connect(dsn(), autocommit=True) as conn:
        conn.execute("PREPARE twice (int) AS SELECT $1 * 2 AS n")
        pgconn = conn.pgconn
        result = pgconn.exec_prepared(b"twice", [b"21"])
        assert (result.fname(0), result.get_value(0, 0)) == (b"n", b"42")
        described = pgconn.describe_prepared(b"twice")
        assert described.param_type(0) == 23
        conn.execute("DEALLOCATE ALL")
        result = pgconn.exec_prepared(b"twice", [b"21"])
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"26000"
