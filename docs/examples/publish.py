"""Publish one message with a creds file: python publish.py CREDS SUBJECT TEXT [URL]."""

import asyncio
import sys

import nats


async def main(creds: str, subject: str, text: str, url: str = "nats://127.0.0.1:4222") -> None:
    async def tell(error: Exception) -> None:
        print(error, file=sys.stderr)

    try:
        connection = await nats.connect(url, user_credentials=creds, allow_reconnect=False, error_cb=tell)
    except nats.errors.Error as error:
        sys.exit(f"not let in: {error}")
    await connection.publish(subject, text.encode())
    await connection.flush()
    print(f"published on {subject}")
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
