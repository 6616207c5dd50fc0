"""An app that waits for its kernel sees each answer, even one that it is not told of."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
import zmq
import zmq.asyncio
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.session import Session

from tests.unit.scripts import load

SOURCE = Path(__file__).parents[3] / "roles/shared_notebooks/files/jupyter/berth_open.py"
berth_open = load(SOURCE)


@pytest.fixture
def kernel() -> Iterator[tuple[zmq.Socket[bytes], int]]:
    """The kernel's end of a channel, and its port."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        yield socket, socket.bind_to_random_port("tcp://127.0.0.1")


async def _swallow(kernel: zmq.Socket[bytes], port: int, *, look: bool) -> Any:
    """Have an answer arrive while the loop is busy, and a widget's message sent before the loop hears of it."""
    session = Session(key=b"key")
    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(f"tcp://127.0.0.1:{port}")
        channel = AsyncZMQSocketChannel(socket, session)
        if look:
            berth_open.keep_looking(channel)
        channel.send(session.msg("execute_request"))
        who, *_ = await asyncio.to_thread(kernel.recv_multipart)
        waiting = asyncio.ensure_future(channel.get_msg(timeout=None))
        await asyncio.sleep(0.1)
        session.send(kernel, "execute_reply", ident=who)
        time.sleep(0.5)  # noqa: ASYNC251 (a busy loop is what it takes)
        channel.send(session.msg("comm_msg"))
        done, _ = await asyncio.wait([waiting], timeout=30 if look else 3)
        if not done:
            waiting.cancel()
            return None
        return (await waiting)["msg_type"]


def test_an_answer_is_seen_although_a_send_swallowed_its_news(kernel: tuple[zmq.Socket[bytes], int]) -> None:
    assert asyncio.run(_swallow(*kernel, look=True)) == "execute_reply"


def test_without_looking_it_is_missed(kernel: tuple[zmq.Socket[bytes], int]) -> None:
    """Fails when jupyter_client or pyzmq mend it: then `keep_looking` can go."""
    assert asyncio.run(_swallow(*kernel, look=False)) is None


def test_a_limit_still_holds(kernel: tuple[zmq.Socket[bytes], int]) -> None:
    async def wait() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.connect(f"tcp://127.0.0.1:{kernel[1]}")
            channel = AsyncZMQSocketChannel(socket, Session(key=b"key"))
            berth_open.keep_looking(channel)
            await channel.get_msg(timeout=1.5)

    with pytest.raises(Empty):
        asyncio.run(asyncio.wait_for(wait(), 30))
