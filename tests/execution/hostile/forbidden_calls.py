#: tries = "what no probe needs of the kernel, call by call"
#: expects = ["measured set(x.values()) <= {1, 38, 97}"]
#: needs = "no system call filter"
"""Ask the kernel for what no probe needs; 1 is EPERM, 38 is ENOSYS."""

import ctypes
import socket

CALLS = {
    "keyctl": (250, 0, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0),
    "ptrace": (101, 0, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0),
    "io_setup": (206, 1, 0),
    "io_uring_setup": (425, 1, 0),
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, 0),
    "userfaultfd": (323, 0),
    "mq_open": (240, 0, 0),
    "msgget": (68, 0, 512),
    "semget": (64, 0, 1, 512),
    "shmget": (29, 0, 4096, 512),
    "unshare": (272, 0x10000000),
    "vmsplice": (278, 0, 0, 0, 0),
    "memfd_secret": (447, 0),
    "name_to_handle_at": (303, 0, 0, 0, 0, 0),
    "mbind": (237, 0, 0, 0, 0, 0, 0),
    "landlock_create_ruleset": (444, 0, 0, 1),
    "clone_with_a_user_namespace": (56, 0x10000000, 0, 0, 0, 0),
    "personality_without_address_randomisation": (135, 0x0040000),
}
FAMILIES = {"AF_ALG": 38, "AF_VSOCK": 40, "AF_PACKET": 17, "AF_BLUETOOTH": 31, "AF_RDS": 21}

libc = ctypes.CDLL(None, use_errno=True)
x = {}
for name, words in CALLS.items():
    ctypes.set_errno(0)
    libc.syscall(*words)
    x[name] = ctypes.get_errno()
for name, family in FAMILIES.items():
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
        x[name] = 0
    except OSError as error:
        x[name] = error.errno
