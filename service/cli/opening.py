"""`--open`: a bisection's page in the browser."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser
from contextlib import closing

from service.bootstrap import House
from service.cli.console import err

START_SECONDS = 20.0


def open_page(address: str) -> None:
    """Show a page in the browser, and print its address for who has none."""
    err.print(f"page: {address}", markup=False, soft_wrap=True)
    webbrowser.open(address)


def serve_page(opened: House, bisection_id: str) -> None:
    """Serve the pages of this machine's bisections until interrupted, and show one."""
    from service.cli.serve import serve_until_stopped  # noqa: PLC0415 - the web stack costs every other command 0.3 s

    host, port = "127.0.0.1", free_port()
    threading.Thread(
        target=_open_once_up, args=(host, port, f"http://{host}:{port}/b/{bisection_id}"), daemon=True
    ).start()
    err.print("Serving the page; Ctrl-C ends it.")
    serve_until_stopped(opened, host, port, "web")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _open_once_up(host: str, port: int, address: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        with closing(socket.socket()) as tried:
            if tried.connect_ex((host, port)) == 0:
                open_page(address)
                return
        time.sleep(0.05)
