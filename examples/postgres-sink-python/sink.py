"""Writes records to PostgreSQL: each becomes one row of the table that an attribute of it names."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import psycopg
from psycopg import conninfo, sql

from danube_connector import Busy, Fatal, Outcome, Record, Reject, Retry, Sink, Subscription, run

log = logging.getLogger("postgres-sink")

CREATE = """CREATE TABLE IF NOT EXISTS {} (
    dedup_id text PRIMARY KEY, key text, payload jsonb NOT NULL, published_at timestamptz NOT NULL)"""
# A message never changes: where its row is there already, that one is right.
INSERT = """INSERT INTO {} (dedup_id, key, payload, published_at)
    SELECT dedup_id, key, payload::jsonb, to_timestamp(published_ms / 1000.0)
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS record (dedup_id, key, payload, published_ms)
    ON CONFLICT (dedup_id) DO NOTHING"""

# What a connection string may override: no wait is without a bound.
CONNECTION = {"application_name": "danube-postgres-sink", "connect_timeout": "5", "tcp_user_timeout": "30000",
              "options": "-c statement_timeout=30s"}
# Classes of SQLSTATE that are about the row: data, constraints, limits, what a trigger raises. All others are about the database.
ROW_FAULTS = ("22", "23", "44", "54", "P0")

# SQLSTATEs of a server that takes nothing at present: out of connections, memory or disk; starting or stopping; read-only.
BUSY = ("53", "57P03", "25006")
# A connection that is refused has none: then its words say so.
REFUSALS = ("too many clients", "too many connections", "connection slots are reserved", "the database system is")

Row = Tuple[str, Optional[str], str, int]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The connector's settings in the sidecar's file (README.md)."""

    dsn_env: str = "DATABASE_URL"
    table_attribute: str = "table"
    default_table: str = "records"
    tables: Sequence[str] = ()

    @classmethod
    def read(cls, settings: Dict[str, Any]) -> Settings:
        known = [field.name for field in dataclasses.fields(cls)]
        own = {name: value for name, value in settings.items() if not isinstance(value, dict)}  # Tables are of others.
        for name, value in own.items():
            if name not in known:
                raise Fatal(f"there is no setting {name!r}: expected {', '.join(known)}", code="BAD_SETTINGS")
            kind, expected = (list, "a list of names") if name == "tables" else (str, "a text")
            if not isinstance(value, kind):
                raise Fatal(f"{name} is {value!r}: expected {expected}", code="BAD_SETTINGS")
        read = cls(**{"tables": [own.get("default_table", cls.default_table)], **own})
        if read.default_table not in read.tables:
            raise Fatal(f"default_table is {read.default_table!r}: expected one of tables", code="BAD_SETTINGS")
        return read

    def connection(self) -> Dict[str, Any]:
        """How to connect. What the environment says is shown nowhere: it has a password in it."""
        dsn = os.environ.get(self.dsn_env)
        if not dsn:
            raise Fatal(f"{self.dsn_env} is not set: expected a PostgreSQL connection string", code="NO_DSN")
        try:
            return {**CONNECTION, **conninfo.conninfo_to_dict(dsn)}
        except psycopg.ProgrammingError:
            raise Fatal(f"{self.dsn_env} is no PostgreSQL connection string", code="NO_DSN") from None


class PostgresSink(Sink):
    """Writes each batch in one transaction, with one statement for each table."""

    def __init__(self) -> None:
        self._db: Optional[psycopg.Connection[Any]] = None
        self._trouble = ""

    def open(self, settings: Dict[str, Any]) -> None:
        self._settings = Settings.read(settings)
        self._connection = self._settings.connection()

    def process_batch(self, records: List[Record]) -> List[Optional[Exception]]:
        outcomes: List[Optional[Exception]] = [None] * len(records)
        tables: Dict[str, List[Tuple[int, Row]]] = {}
        for index, record in enumerate(records):
            try:
                table, values = self._table_of(record), row(record)
            except Reject as reject:
                outcomes[index] = reject
            else:
                tables.setdefault(table, []).append((index, values))
        try:
            db = self._connected()
            with db.transaction():
                for table, rows in tables.items():
                    for index, reject in insert(db, table, rows):
                        outcomes[index] = reject
        except psycopg.Error as error:  # Whether it was written or not: all of it comes again, and finds its rows there.
            raise self._lost(error) from error
        return outcomes

    def health(self) -> None:
        """Asks the database, on a connection of its own: it may be called while a batch is written."""
        with psycopg.connect(**{**self._connection, "connect_timeout": "3"}) as db:
            db.execute("SELECT 1")

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _table_of(self, record: Record) -> str:
        """The record's table. Only those of the settings can be written, whatever a producer says."""
        table = record.attributes.get(self._settings.table_attribute, self._settings.default_table)
        if table not in self._settings.tables:
            raise Reject(f"the attribute {self._settings.table_attribute!r} names none of the tables in the settings",
                         code="UNKNOWN_TABLE")
        return table

    def _connected(self) -> psycopg.Connection[Any]:
        """The connection; a new one where the last was lost, with all tables there."""
        if self._db is None:
            db = psycopg.connect(autocommit=True, **self._connection)
            try:
                create_missing(db, self._settings.tables)
            except psycopg.Error:
                db.close()
                raise
            self._db, self._trouble = db, ""
            log.info("connected to the database")
        return self._db

    def _lost(self, error: psycopg.Error) -> Outcome:
        """Lets go of the connection: the next batch has a new one."""
        if self._db is not None:
            self._db.close()
            self._db = None
        code, trouble = "DATABASE_UNAVAILABLE" if is_outage(error) else "DATABASE_ERROR", text_of(error)
        if trouble != self._trouble:  # Once is enough.
            self._trouble = trouble
            log.warning("%s: %s", code, trouble)
        return Busy(trouble, code="DATABASE_BUSY") if is_busy(error) else Retry(trouble, code=code, after=1)


def row(record: Record) -> Row:
    """A record's row. The payload stays the text that it is: PostgreSQL keeps numbers exactly."""
    if not isinstance(record.json(), dict):
        raise Reject("the payload is JSON, but not an object", code="NOT_AN_OBJECT")
    return record.dedup_id, record.key, record.text(), record.publish_time_ms


def create_missing(db: psycopg.Connection[Any], tables: Sequence[str]) -> None:
    """Creates the tables that are not there: for those that are, the right to create is not needed."""
    for table in tables:
        found = db.execute("SELECT to_regclass(%s)", [identifier(table).as_string(db)]).fetchone()
        if found == (None,):
            db.execute(sql.SQL(CREATE).format(identifier(table)))


def insert(db: psycopg.Connection[Any], table: str, rows: List[Tuple[int, Row]]) -> List[Tuple[int, Reject]]:
    """Writes rows in one statement, inside a savepoint. One that is refused is found by halving; the others are written."""
    try:
        with db.transaction():
            db.execute(sql.SQL(INSERT).format(identifier(table)), [list(column) for column in zip(*(row for _, row in rows))])
        return []
    except psycopg.Error as error:
        if not is_of_a_row(error):
            raise
        if len(rows) == 1:
            return [(rows[0][0], Reject(text_of(error), code="ROW_REFUSED"))]
    middle = len(rows) // 2
    return insert(db, table, rows[:middle]) + insert(db, table, rows[middle:])


def identifier(table: str) -> sql.Identifier:
    """`table`, or `schema.table`, quoted."""
    return sql.Identifier(*table.split("."))


def is_of_a_row(error: psycopg.Error) -> bool:
    """Whether a row is refused; without SQLSTATE it is psycopg that refuses it (a NUL character in a text)."""
    return isinstance(error, psycopg.DataError) if error.sqlstate is None else error.sqlstate.startswith(ROW_FAULTS)


def is_busy(error: psycopg.Error) -> bool:
    """Whether the server is there, and takes nothing at present, whatever the row."""
    if error.sqlstate is not None:
        return error.sqlstate.startswith(BUSY)
    return isinstance(error, psycopg.OperationalError) and any(words in str(error) for words in REFUSALS)


def is_outage(error: psycopg.Error) -> bool:
    return isinstance(error, psycopg.OperationalError)


def text_of(error: psycopg.Error) -> str:
    """What PostgreSQL says, without its DETAIL, which may have values of the row in it."""
    said = " ".join((error.diag.message_primary or str(error)).split())
    return f"{error.sqlstate}: {said}" if error.sqlstate else said


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run(PostgresSink(), name=os.environ.get("CONNECTOR_NAME", "postgres-sink"), subscriptions=[Subscription("/default/orders")])
