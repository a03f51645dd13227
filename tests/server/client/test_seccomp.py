"""The filter of system calls, run by an interpreter of what the kernel would run, on every number."""

from __future__ import annotations

import errno
import struct

import pytest

from yurt.server.client.seccomp import (
    ALLOW,
    ALLOWED,
    ARCHITECTURES,
    CLONE,
    CLONE3,
    ERRNO,
    KILL_PROCESS,
    NEWEST,
    PERSONALITIES,
    PERSONALITY,
    SOCKET,
    TRACING,
    X32,
    numbers,
    program,
)

MACHINES = list(ARCHITECTURES)
REFUSED, UNKNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS


def verdict(body: bytes, number: int, *, architecture: int, argument: int = 0) -> int:
    """What a filter says of a call."""
    data = struct.pack("<IIQ", number, architecture, 0) + struct.pack("<Q", argument)
    code = list(struct.iter_unpack("HBBI", body))
    at = accumulator = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        if operation == 0x06:
            return int(operand)
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
            continue
        holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
        at += if_true if holds[operation] else if_false


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("tracing", [False, True])
def test_what_is_listed_is_allowed_and_nothing_else(machine: str, tracing: bool) -> None:
    body, (architecture, column) = program(machine, tracing=tracing), ARCHITECTURES[machine]
    allowed = numbers(ALLOWED, column) | (numbers(TRACING, column) if tracing else set())
    examined = {CLONE[column], SOCKET[column], PERSONALITY[column]}
    for number in range(NEWEST + 1):
        wanted = ALLOW if number in allowed | examined else REFUSED
        wanted = UNKNOWN if number == CLONE3[column] else wanted
        assert verdict(body, number, architecture=architecture) == wanted, number
    for number in (NEWEST + 1, NEWEST + 500):
        assert verdict(body, number, architecture=architecture) == UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_that_are_looked_at(machine: str) -> None:
    body, (architecture, column) = program(machine), ARCHITECTURES[machine]

    def says(number: int, argument: int) -> int:
        return verdict(body, number, architecture=architecture, argument=argument)

    thread = 0x3D0F00
    assert says(CLONE[column], thread) == says(CLONE[column], 17) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert says(CLONE[column], flag | 17) == REFUSED
    assert [says(SOCKET[column], family) for family in (1, 2, 10, 16, 40)] == [ALLOW] * 4 + [REFUSED]
    assert {says(PERSONALITY[column], value) for value in PERSONALITIES} == {ALLOW}
    assert says(PERSONALITY[column], 0x40000) == REFUSED


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_kind_of_program_end_it(machine: str) -> None:
    body, (architecture, column) = program(machine), ARCHITECTURES[machine]
    others = {0x40000003, 0xC000003E, 0xC00000B7, 0x40000028} - {architecture}
    assert {verdict(body, number, architecture=one) for number in range(500) for one in others} == {KILL_PROCESS}
    if machine == "x86_64":
        x32 = {verdict(body, X32 | one, architecture=architecture) for one in numbers(ALLOWED, column)}
        assert x32 == {KILL_PROCESS}


@pytest.mark.parametrize(
    ("x86_64", "aarch64"),
    [
        (165, 40), (166, 39), (272, 97), (308, 268), (101, 117), (250, 219), (248, 217), (249, 218), (321, 280),
        (298, 241), (246, 104), (320, 294), (175, 105), (313, 273), (176, 106), (323, 282), (304, 265), (169, 142),
        (167, 224), (168, 225), (163, 89), (161, 51), (155, 41), (170, 161), (171, 162), (164, 170), (227, 112),
        (103, 116), (310, 270), (311, 271), (425, 425), (426, 426), (427, 427), (429, 429), (430, 430), (442, 442),
    ],
)  # fmt: skip
def test_what_engines_refuse_is_refused(x86_64: int, aarch64: int) -> None:
    """mount, umount2, unshare, setns, ptrace, keyctl, add_key, request_key, bpf, perf_event_open, kexec, modules,
    userfaultfd, open_by_handle_at, reboot, swap, acct, chroot, pivot_root, names, clocks, syslog, others' memory, io_uring,
    the new calls for mounts."""
    for machine, number in (("x86_64", x86_64), ("aarch64", aarch64)):
        assert verdict(program(machine), number, architecture=ARCHITECTURES[machine][0]) == REFUSED


def test_a_machine_without_a_table_is_said() -> None:
    with pytest.raises(KeyError):
        program("riscv64")
