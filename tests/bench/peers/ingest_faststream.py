"""FastAPI with FastStream's RabbitRouter, on uvicorn with uvloop and httptools, answered after the confirm.

Its pages "Rabbit > Publishing" and "Rabbit > Queue Arguments", and its installed code: the router owns the broker and
starts it with the application; `persist=True` for durable messages; confirms are the channel's default.
Arguments: port, AMQP URL, queue.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request, Response
from faststream.rabbit.fastapi import RabbitRouter

PORT, URL, QUEUE = int(sys.argv[1]), sys.argv[2], sys.argv[3]

router = RabbitRouter(URL)


@router.post("/{path:path}")
async def post(request: Request) -> Response:
    await router.broker.publish(await request.body(), routing_key=QUEUE, persist=True, mandatory=True)
    return Response()


app = FastAPI()
app.include_router(router)

if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=PORT, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
