"""Runs a command without write access outside given folders, without network, within limits of memory and time.

`python confine.py [--parent PID] [--write FOLDER]... [--memory BYTES] [--seconds N] -- COMMAND ...` confines itself and
then becomes the command; without --write it only ends with its parent. `python confine.py --describe` says how this
system confines. Landlock (Linux 5.13) does it where the kernel has it, user namespaces with a read-only view of the
file system where not; a seccomp filter refuses sockets and what both leave, and all privileges but reading are dropped.
Only the standard library: it starts in a few hundredths of a second. Everything that the command starts is confined as
it is. `refuse_writes`, called in the command once it is ready, ends it at its first attempt.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOT_CONFINED = 97  # exit status: nothing was run, since this system cannot confine it
ROOM_FOR_LIBRARIES = 16 << 30  # address space that runtimes reserve and never touch

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor
RULE_PATH_BENEATH = 1
# Rights of Landlock that change files, by the version of its interface that knows them.
WRITE_FILE, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
MAKE = sum(
    1 << bit for bit in range(6, 13)
)  # characters, folders, files, sockets, pipes, blocks, links
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
RIGHTS = (
    (1, WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE),
    (2, REFER),
    (3, TRUNCATE),
    (5, IOCTL_DEVICE),
)
ON_FILES = WRITE_FILE | TRUNCATE
NETWORK_TCP = 0b11  # bind, connect: version 4
SCOPES = 0b11  # abstract sockets, signals: version 6
DEVICES = ("/dev/null", "/dev/zero", "/dev/full")

PARENT_DEATH_SIGNAL, NO_NEW_PRIVILEGES = 1, 38
SIGKILL = 9
Calls = dict[str, tuple[int | None, int | None]]
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OTHER_TABLE = (
    0x40000000  # x86_64: numbers from here on are those of a second table of the same calls
)
SECCOMP = (317, 277)
SET_FILTER, ALL_THREADS = 1, 1
KEEP_SPECULATION = 4  # without it, kernels before 5.16 slow every filtered process down
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
GET_PRIVILEGES, SET_PRIVILEGES = (125, 90), (126, 91)
PRIVILEGES_VERSION = 0x20080522
READ_ANY_FILE = 1 << 2
# System calls that answer EPERM, by their numbers on x86_64 and aarch64: what Landlock leaves of files (owners, rights,
# times, attributes, truncation in its first versions), sockets, rings that go past this filter, other processes, keys,
# mounts in every form, the machine.
REFUSED: Calls = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
    "openat2": (437, 437),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "io_uring_setup": (425, 425),
    "kill": (62, 129),
    "rt_sigqueueinfo": (129, 138),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "reboot": (169, 142),
}
# What `refuse_writes` ends the process for: names on disk, sockets, programs.
ATTEMPTS: Calls = {
    "creat": (85, None),
    "truncate": (76, 45),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "socket": (41, 198),
    "execve": (59, 221),
    "execveat": (322, 281),
}
# open, openat: which argument holds the flags
OPEN_CALLS: tuple[tuple[tuple[int | None, int | None], int], ...] = (
    ((2, None), 1),
    ((257, 56), 2),
)  # open, openat: which argument holds the flags
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
LOAD, AND, EQUAL, ANY_BIT, LEAST, GIVE = 0x20, 0x54, 0x15, 0x45, 0x35, 0x06  # BPF's words

NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x40000000  # user, mount, network
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
# nosuid, nodev, noexec, noatime, nodiratime, relatime: as statvfs tells them, as mount takes them
MOUNT_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}


def system_call(number: int, *arguments: object) -> int:
    """A system call by number; -1 where it is refused, with the reason in `ctypes.get_errno()`."""
    return int(LIBC.syscall(number, *arguments))


LIBC: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None


def landlock_version() -> int:
    """The version of Landlock's interface, 0 where the kernel has none."""
    return max(0, system_call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def confine(folders: Sequence[str]) -> str:
    """Takes from this process, for good, every write outside `folders`, every network and every privilege; returns how,
    raises OSError where it cannot."""
    if sys.platform != "linux" or machine_column() is None:
        raise OSError(errno.ENOSYS, f"no confinement on {sys.platform} {platform.machine()}")
    version = landlock_version()
    if version == 0:
        enter_namespaces(folders)
    if LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if version > 0:
        restrict_files(version, folders)
    drop_privileges()
    refuse_calls()
    how = f"Landlock version {version}" if version > 0 else "user namespaces"
    return f"{how} and seccomp"


def machine_column() -> int | None:
    """The column of this processor in the tables of system calls, or None where there is none."""
    machine = platform.machine()
    return list(AUDIT).index(machine) if machine in AUDIT and sys.maxsize > 1 << 32 else None


def restrict_files(version: int, folders: Sequence[str]) -> None:
    """Landlock: files are changed in `folders` only."""
    rights = sum(right for since, right in RIGHTS if version >= since)
    network = NETWORK_TCP if version >= 4 else 0
    scopes = SCOPES if version >= 6 else 0
    parts = [rights, network, scopes][: 3 if version >= 6 else 2 if version >= 4 else 1]
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    ruleset = system_call(
        CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in (*folders, *(device for device in DEVICES if Path(device).exists())):
        own = rights if Path(path).is_dir() else rights & ON_FILES
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", own, descriptor)
        added = system_call(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, ctypes.c_uint32(0))
        os.close(descriptor)
        if added < 0:
            raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
    if system_call(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) < 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def drop_privileges() -> None:
    """Of root's privileges only reading any file stays, and is not gained again by what is started."""
    column = machine_column() or 0
    header = struct.pack("=Ii", PRIVILEGES_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    if system_call(GET_PRIVILEGES[column], header, held) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    _, permitted, _, *_ = struct.unpack("=6I", held.raw)
    kept = permitted & READ_ANY_FILE
    if system_call(SET_PRIVILEGES[column], header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def refuse_calls() -> None:
    """seccomp: the calls of REFUSED answer EPERM, and so does a truncation by opening for reading."""
    opened = [(LOAD, None, 0), (AND, 0, os.O_TRUNC | os.O_ACCMODE), (EQUAL, 1, os.O_TRUNC)]
    install_filter(REFUSED, opened, REFUSE)


def refuse_writes() -> None:
    """From now on this process ends (SIGSYS) at its first attempt to open a file for writing, to change a name on disk,
    to reach a network, or to start a program; OSError where that cannot be had."""
    sys.dont_write_bytecode = True
    install_filter(ATTEMPTS, [(LOAD, None, 0), (ANY_BIT, 1, WRITE_FLAGS)], KILL)


def install_filter(
    calls: Calls, opened: Sequence[tuple[int, int | None, int]], action: int
) -> None:
    """A seccomp filter: `action` for the calls, and for open and openat where the words `opened` say so of their flags
    (a place of None is that of the flags; the last word jumps over one where it holds)."""
    column = machine_column()
    if column is None:
        raise OSError(errno.ENOSYS, f"no table of system calls for {platform.machine()}")
    program = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, list(AUDIT.values())[column]),
        (GIVE, 0, 0, action),
        (LOAD, 0, 0, 0),
        (LEAST, 0, 1, OTHER_TABLE),
        (GIVE, 0, 0, action),
    ]
    numbers = [number for pair in calls.values() if (number := pair[column]) is not None]
    for number in numbers:
        program += [(EQUAL, 0, 1, number), (GIVE, 0, 0, action)]
    for pair, argument in OPEN_CALLS:
        opening = pair[column]
        if opening is None:
            continue
        *words, (test, _, value) = opened
        flags = [
            (word, 0, 0, 16 + 8 * argument if at is None else given) for word, at, given in words
        ]
        block = [*flags, (test, 0, 1, value), (GIVE, 0, 0, action), (LOAD, 0, 0, 0)]
        program += [(EQUAL, 0, len(block), opening), *block]
    program.append((GIVE, 0, 0, ALLOW))
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    how = ctypes.c_uint(ALL_THREADS | KEEP_SPECULATION)
    if system_call(SECCOMP[column], ctypes.c_uint(SET_FILTER), how, described) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def enter_namespaces(folders: Sequence[str]) -> None:
    """Without Landlock: the file system read-only but for `folders`, and an empty network, seen by this process."""
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(NEW_NAMESPACES) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    mount(None, "/", RECURSIVE | PRIVATE)
    for folder in folders:
        mount(folder, folder, BIND)
    with Path("/proc/self/mounts").open(encoding="utf-8", errors="surrogateescape") as file:
        places = [line.split()[1].encode().decode("unicode_escape") for line in file]
    for place in places:
        if os.path.realpath(place) not in map(os.path.realpath, folders):
            make_read_only(place)


def make_read_only(place: str) -> None:
    """Remounts a mount so; raises OSError where it stays writable. A mount that others hide cannot be reached."""
    try:
        before = os.statvfs(place).f_flag
    except OSError:
        return
    # flags that the mount has must be given again, or a user namespace may not remount it
    kept = sum(flag for bit, flag in MOUNT_FLAGS.items() if before & bit)
    LIBC.mount(None, os.fsencode(place), None, REMOUNT | BIND | READ_ONLY | kept, None)
    if not os.statvfs(place).f_flag & os.ST_RDONLY:
        raise OSError(ctypes.get_errno(), f"remount {place}")


def mount(source: str | None, target: str, flags: int) -> None:
    """mount(2); raises OSError."""
    given = None if source is None else os.fsencode(source)
    if LIBC.mount(given, os.fsencode(target), None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def limit(memory_bytes: int | None, seconds: float | None) -> None:
    """Limits of this process and what it becomes: own memory, size of a file, processor seconds, no core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_FSIZE, (memory_bytes, memory_bytes))
        space = 2 * memory_bytes + ROOM_FOR_LIBRARIES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    if seconds is not None:
        whole = max(1, int(seconds))
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 5))


def end_with(parent: int) -> None:
    """This process is killed when its parent ends; at once where that has happened."""
    if sys.platform == "linux":
        LIBC.prctl(PARENT_DEATH_SIGNAL, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """The command line of the module's docstring."""
    if sys.argv[1:] == ["--describe"]:
        print(attempt([], None, None))
        return
    options, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    given = dict(pairs)
    folders = [value for name, value in pairs if name == "--write"]
    if folders:
        attempt(folders, given.get("--memory"), given.get("--seconds"))
    if "--parent" in given:
        end_with(int(given["--parent"]))
    os.execvp(command[0], command)


def attempt(folders: Sequence[str], memory: str | None, seconds: str | None) -> str:
    """Confines this process and limits it; returns how, ends it with NOT_CONFINED where the system cannot."""
    try:
        how = confine(folders)
        limit(int(memory) if memory else None, float(seconds) if seconds else None)
    except (OSError, ImportError) as error:
        print(f"not confined: {error}", file=sys.stderr)
        sys.exit(NOT_CONFINED)
    return how


if __name__ == "__main__":
    main()
