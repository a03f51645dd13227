"""The system calls that an isolated task may use: a filter of the kernel (seccomp), as container engines set one.

All other calls are refused with EPERM: mounts, namespaces, modules, keys, BPF, tracing, clocks, swap, reboot and the
calls of later kernels (those with ENOSYS, so that programs fall back). 32-bit programs, whose calls have other numbers,
are ended by SIGSYS at their first call. Needs nothing but the standard library; the filter is assembled here for x86-64
and 64-bit ARM.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 23, 24, 38
MODE_FILTER = 2
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in what the kernel shows the filter
X32 = 0x40000000
CLONE_NEW = 0x7E020000  # flags that make namespaces
AF_VSOCK = 40
PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
NEWEST = 462  # later numbers are of calls that were not known when this table was made
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # what the kernel calls it; its column below

# name:number on x86-64:number on 64-bit ARM, empty where there is none
ALLOWED = """
    read:0:63 write:1:64 open:2: openat:257:56 openat2:437:437 creat:85: close:3:57 close_range:436:436 dup:32:23
    dup2:33: dup3:292:24 lseek:8:62 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 preadv:295:69
    pwritev:296:70 preadv2:327:286 pwritev2:328:287 stat:4: fstat:5:80 lstat:6: newfstatat:262:79 statx:332:291
    statfs:137:43 fstatfs:138:44 access:21: faccessat:269:48 faccessat2:439:439 readlink:89: readlinkat:267:78
    getdents:78: getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50 mkdir:83: mkdirat:258:34 rmdir:84:
    rename:82: renameat:264:38 renameat2:316:276 link:86: linkat:265:37 symlink:88: symlinkat:266:36 unlink:87:
    unlinkat:263:35 mknod:133: mknodat:259:33 chmod:90: fchmod:91:52 fchmodat:268:53 fchmodat2:452:452 chown:92:
    fchown:93:55 lchown:94: fchownat:260:54 umask:95:166 truncate:76:45 ftruncate:77:46 fallocate:285:47 utime:132:
    utimes:235: utimensat:280:88 futimesat:261: flock:73:32 fcntl:72:25 ioctl:16:29 fsync:74:82 fdatasync:75:83
    sync:162:81 syncfs:306:267 sync_file_range:277:84 fadvise64:221:223 readahead:187:213 sendfile:40:71
    splice:275:76 tee:276:77 vmsplice:278:75 copy_file_range:326:285 name_to_handle_at:303:264 cachestat:451:451
    setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 getxattr:191:8 lgetxattr:192:9 fgetxattr:193:10 listxattr:194:11
    llistxattr:195:12 flistxattr:196:13 removexattr:197:14 lremovexattr:198:15 fremovexattr:199:16
    poll:7: ppoll:271:73 select:23: pselect6:270:72 epoll_create:213: epoll_create1:291:20 epoll_ctl:233:21
    epoll_ctl_old:214: epoll_wait:232: epoll_wait_old:215: epoll_pwait:281:22 epoll_pwait2:441:441 eventfd:284:
    eventfd2:290:19 signalfd:282: signalfd4:289:74 timerfd_create:283:85 timerfd_settime:286:86
    timerfd_gettime:287:87 inotify_init:253: inotify_init1:294:26 inotify_add_watch:254:27 inotify_rm_watch:255:28
    fanotify_mark:301:263 io_setup:206:0 io_destroy:207:1 io_submit:209:2 io_cancel:210:3 io_getevents:208:4
    io_pgetevents:333:292
    brk:12:214 mmap:9:222 munmap:11:215 mremap:25:216 mprotect:10:226 madvise:28:233 mincore:27:232 msync:26:227
    mlock:149:228 mlock2:325:284 mlockall:151:230 munlock:150:229 munlockall:152:231 remap_file_pages:216:234
    pkey_alloc:330:289 pkey_free:331:290 pkey_mprotect:329:288 memfd_create:319:279 memfd_secret:447:447
    membarrier:324:283 map_shadow_stack:453:453 mseal:462:462
    socketpair:53:199 bind:49:200 listen:50:201 accept:43:202 accept4:288:242 connect:42:203 getsockname:51:204
    getpeername:52:205 getsockopt:55:209 setsockopt:54:208 sendto:44:206 recvfrom:45:207 sendmsg:46:211
    recvmsg:47:212 sendmmsg:307:269 recvmmsg:299:243 shutdown:48:210 pipe:22: pipe2:293:59
    fork:57: vfork:58: execve:59:221 execveat:322:281 exit:60:93 exit_group:231:94 wait4:61:260 waitid:247:95
    getpid:39:172 getppid:110:173 gettid:186:178 getpgid:121:155 getpgrp:111: setpgid:109:154 getsid:124:156
    setsid:112:157 kill:62:129 tkill:200:130 tgkill:234:131 pidfd_open:434:434 pidfd_send_signal:424:424
    process_mrelease:448:448 prctl:157:167 arch_prctl:158: set_tid_address:218:96 set_robust_list:273:99
    get_robust_list:274:100 rseq:334:293 futex:202:98 futex_waitv:449:449 futex_wake:454:454 futex_wait:455:455
    futex_requeue:456:456 get_thread_area:211: set_thread_area:205: modify_ldt:154: restart_syscall:219:128
    getpriority:140:141 setpriority:141:140 ioprio_get:252:31 ioprio_set:251:30 prlimit64:302:261 getrlimit:97:163
    setrlimit:160:164 getrusage:98:165 times:100:153 sched_yield:24:124 sched_getaffinity:204:123
    sched_setaffinity:203:122 sched_getparam:143:121 sched_setparam:142:118 sched_getscheduler:145:120
    sched_setscheduler:144:119 sched_getattr:315:275 sched_setattr:314:274 sched_get_priority_max:146:125
    sched_get_priority_min:147:126 sched_rr_get_interval:148:127 getcpu:309:168 uname:63:160 sysinfo:99:179
    pause:34: seccomp:317:277 landlock_create_ruleset:444:444 landlock_add_rule:445:445
    landlock_restrict_self:446:446
    rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137
    rt_sigsuspend:130:133 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 sigaltstack:131:132 alarm:37:
    getitimer:36:102 setitimer:38:103
    getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getresuid:118:148 getresgid:120:150
    getgroups:115:158 setuid:105:146 setgid:106:144 setreuid:113:145 setregid:114:143 setresuid:117:147
    setresgid:119:149 setfsuid:122:151 setfsgid:123:152 setgroups:116:159 capget:125:90 capset:126:91
    time:201: gettimeofday:96:169 clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115
    nanosleep:35:101 adjtimex:159:171 clock_adjtime:305:266 timer_create:222:107 timer_settime:223:110
    timer_gettime:224:108 timer_getoverrun:225:109 timer_delete:226:111 getrandom:318:278
    shmget:29:194 shmat:30:196 shmdt:67:197 shmctl:31:195 semget:64:190 semop:65:193 semtimedop:220:192
    semctl:66:191 msgget:68:186 msgsnd:69:189 msgrcv:70:188 msgctl:71:187 mq_open:240:180 mq_unlink:241:181
    mq_timedsend:242:182 mq_timedreceive:243:183 mq_notify:244:184 mq_getsetattr:245:185
"""
TRACING = """
    ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 kcmp:312:272
"""
CLONE, CLONE3, SOCKET, PERSONALITY = (56, 220), (435, 435), (41, 198), (135, 92)
Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def numbers(table: str, column: int) -> set[int]:
    """Return the numbers of a table on one architecture."""
    return {int(found) for entry in table.split() if (found := entry.split(":")[1 + column])}


def program(machine: str, *, tracing: bool = False) -> bytes:
    """Return the filter for a machine; raises KeyError for one that is not known."""
    architecture, column = ARCHITECTURES[machine]
    refused, foreign = (RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, KILL_PROCESS)
    allowed = numbers(ALLOWED, column) | (numbers(TRACING, column) if tracing else set())
    code: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), foreign, (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":
        code += [(AT_LEAST, 0, 1, X32), foreign]
    code += _only(CLONE[column], [(ANY_BIT, 0, 1, CLONE_NEW), refused])
    code += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    code += _only(SOCKET[column], [(EQUAL, 0, 1, AF_VSOCK), refused])
    known = [(EQUAL, len(PERSONALITIES) - place, 0, value) for place, value in enumerate(PERSONALITIES)]
    code += _only(PERSONALITY[column], [*known, refused])
    verdict = refused
    for number in range(NEWEST + 2):
        if number > NEWEST:
            following = (RETURN, 0, 0, ERRNO | errno.ENOSYS)
        else:
            following = (RETURN, 0, 0, ALLOW) if number in allowed else refused
        if following != verdict:
            code += [(AT_LEAST, 1, 0, number), verdict]
            verdict = following
    code.append(verdict)
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _only(number: int, check: list[Instruction]) -> list[Instruction]:
    """Look at the first argument of one call; what `check` lets through is allowed."""
    body = [(LOAD, 0, 0, FIRST_ARGUMENT), *check, (RETURN, 0, 0, ALLOW)]
    return [(EQUAL, 0, len(body), number), *body]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(*, tracing: bool = False) -> None:
    """Set the filter for this process and all that come of it; raises OSError where the kernel has none."""
    libc, machine = ctypes.CDLL(None, use_errno=True), os.uname().machine
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no filter is known for {machine}")
    body = program(machine, tracing=tracing)
    buffer = ctypes.create_string_buffer(body, len(body))
    whole = _Program(len(body) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    for option, argument in ((PR_SET_NO_NEW_PRIVS, (1, 0)), (PR_SET_SECCOMP, (MODE_FILTER, ctypes.byref(whole)))):
        if libc.prctl(option, *argument, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"the filter of system calls was not taken: {os.strerror(number)}")


def empty_bounding_set() -> None:
    """Take away all capabilities that a program run later could gain; raises OSError without the right to."""
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"the bounding set was not emptied: {os.strerror(number)}")
        capability += 1


if __name__ == "__main__":
    try:
        install()
    except OSError as error:
        sys.exit(str(error))
