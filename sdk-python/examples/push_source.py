import asyncio
from typing import Any, Dict

from danube_connector import ConnectorError, Emitter, Producer, Source, SourceRecord, run


class Events(Source):
    """Publishes the lines that come over TCP, and answers each: `ok` once it is safe in Danube, `busy` when there is no room."""

    async def open(self, settings: Dict[str, Any]) -> None:
        self.port = settings.get("port", 7070)

    async def stream(self, emitter: Emitter) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(await self.answer(emitter, line))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", self.port)
        try:
            await asyncio.Event().wait()  # Until the stop cancels it.
        finally:
            server.close()

    async def answer(self, emitter: Emitter, line: bytes) -> bytes:
        try:
            committed = emitter.try_emit(SourceRecord(line.rstrip(b"\n")))
            if committed is None:
                return b"busy\n"
            await committed
        except ConnectorError as error:  # Rejected, too large, or the source stops.
            return f"error {error}\n".encode()
        return b"ok\n"


if __name__ == "__main__":
    run(Events(), name="events", producers=[Producer("/default/events")])
