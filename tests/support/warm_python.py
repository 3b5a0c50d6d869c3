"""A Python that starts converters at once: `warm_python -m MODULE ...` is forked from a server that has imported them.

Commands of tests find it as `sys.executable`, so a converter still is a process of its own, started as the program
starts it, and dies with the process that asked for it. Everything but the modules of WARM runs in a fresh interpreter.
The server starts with the first converter and ends with the test process that made the folder `EDGEGAN_WARM`.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys

WARM = ("edgegan.export.convert", "onnxsim")
IMPORTED = (
    "edgegan.export.convert",
    "litert_torch",
    "ai_edge_quantizer.quantizer",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "torch.onnx",
)


def connect(folder: str) -> socket.socket:
    """A connection to the server of this folder; the first caller starts it, the others wait."""
    with open(f"{folder}/lock", "w") as lock:  # noqa: PTH123 - pathlib would triple the start
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(f"{folder}/socket"):  # noqa: PTH110
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{folder}/socket")
            listener.listen()
            with open(f"{folder}/log", "wb") as log:  # noqa: PTH123
                subprocess.Popen(
                    [sys.executable, __file__, "--serve", folder, str(listener.fileno())],
                    pass_fds=[listener.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{folder}/socket")
    return connection


def ask(arguments: list[str]) -> None:
    """Lets the server run `-m MODULE ...` here, with this process's files, folder and environment; ends as it ends."""
    connection = connect(os.environ["EDGEGAN_WARM"])
    request = [arguments, os.getcwd(), dict(os.environ)]  # noqa: PTH109
    data = json.dumps(request).encode()
    socket.send_fds(connection, [len(data).to_bytes(8, "little")], [0, 1, 2])
    connection.sendall(data)
    code = int(connection.recv(16) or b"1")
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(folder: str, listener: socket.socket) -> None:
    """Forks a handler for every request, until the folder or the test process is gone."""
    import gc
    import importlib

    sys.path.pop(0)  # this folder: what is in it is imported as support.x
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    listener.settimeout(1)
    with open(f"{folder}/owner") as file:  # noqa: PTH123
        owner = int(file.read())
    while os.path.exists(folder) and is_alive(owner):  # noqa: PTH110
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            connection = None
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if connection is not None:
            if os.fork() == 0:
                listener.close()
                handle(connection)
            connection.close()


def is_alive(number: int) -> bool:
    """Whether this process still runs."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def handle(connection: socket.socket) -> None:
    """In a process of its own: forks the program, tells how it ended, ends it when the asker is gone."""
    length, files, _, _ = socket.recv_fds(connection, 8, 3)
    data = b""
    while len(data) < int.from_bytes(length, "little"):
        data += connection.recv(1 << 16)
    arguments, cwd, environment = json.loads(data)
    child = os.fork()
    if child == 0:
        connection.close()
        become(arguments, cwd, environment, files)
    for descriptor in files:
        os.close(descriptor)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            connection.send(b"%d" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        if select.select([connection], [], [], 0.02)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os._exit(0)


def become(arguments: list[str], cwd: str, environment: dict[str, str], files: list[int]) -> None:
    """Runs `-m MODULE ...` as a fresh interpreter would, and ends."""
    import atexit
    import runpy
    import traceback

    for number, descriptor in enumerate(files):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.executable = arguments[1:], f"{environment['EDGEGAN_WARM']}/python"
    sys.path.insert(0, cwd)
    sys.modules.pop(arguments[1], None)  # it runs anew as __main__
    code: object = 0
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int) and code is not None:
        sys.stderr.write(f"{code}\n")
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


def write_launcher(folder: str) -> str:
    """The program to call in place of Python, in a new folder that the server lives as long as; returns its path."""
    path = f"{folder}/python"
    with open(path, "w") as file:  # noqa: PTH123
        file.write(f"#!{sys.executable} -IS\nimport runpy\n")
        file.write(f"runpy.run_path({__file__!r}, run_name='__main__')\n")
    os.chmod(path, 0o755)  # noqa: PTH101
    with open(f"{folder}/owner", "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], socket.socket(fileno=int(sys.argv[3])))
    elif sys.argv[1:2] == ["-m"] and sys.argv[2] in WARM:
        ask(sys.argv[1:])
    else:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
