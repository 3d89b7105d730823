"""UDP datagrams in bulk, cheap enough that it is not what is measured.

    udp_load.py send ADDRESS PORT SIZE RATE SECONDS    RATE in datagrams a second, 0 for a flood
    udp_load.py receive ADDRESS PORT                   until half a second passes without one,
                                                       or a minute before the first

Many datagrams go in one call (sendmmsg, recvmmsg), each by itself and not as
segments of one: iperf3's one call for each costs more than a tunnel does. Prints
JSON.
"""

import ctypes
import json
import select
import socket
import sys
import time

BATCH = 32
BUFFER = 4 << 20
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32
libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("header", Msghdr), ("len", ctypes.c_uint)]


def messages(size):
    """A batch of messages, and what has to be kept for as long."""
    buffers = [ctypes.create_string_buffer(size) for _ in range(BATCH)]
    iovecs = (Iovec * BATCH)(*(Iovec(ctypes.addressof(buffer), size) for buffer in buffers))
    headers = (Mmsghdr * BATCH)()
    for index in range(BATCH):
        headers[index].header.iov = ctypes.pointer(iovecs[index])
        headers[index].header.iovlen = 1
    return headers, (buffers, iovecs)


def send(address, port, size, rate, seconds):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        sock.connect((address, port))
        headers, _kept = messages(size)
        sent, refused = 0, 0
        begun = now = time.monotonic()
        while now < begun + seconds:
            # What is behind by more than a batch is sent a batch at a time.
            due = BATCH if rate == 0 else int((now - begun) * rate) - sent
            if due <= 0:
                time.sleep(max(1 / rate, 5e-5))
            else:
                done = libc.sendmmsg(sock.fileno(), headers, min(due, BATCH), 0)
                if done < 0:
                    refused += 1
                else:
                    sent += done
            now = time.monotonic()
        return {"sent": sent, "refused": refused, "seconds": now - begun}


def receive(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.bind((address, port))
        headers, _kept = messages(2048)
        print("ready", flush=True)
        received, first, last, idle = 0, None, None, 0
        wait = select.poll()
        wait.register(sock, select.POLLIN)
        while idle < (120 if first is None else 1):
            if not wait.poll(500):
                idle += 1
                continue
            done = libc.recvmmsg(sock.fileno(), headers, BATCH, socket.MSG_DONTWAIT, None)
            last, idle = time.monotonic(), 0
            first = first or last
            received += max(done, 0)
        return {"received": received, "seconds": (last - first) if first else 0.0}


def main():
    what, address, port, *rest = sys.argv[1:]
    if what == "send":
        size, rate, seconds = int(rest[0]), float(rest[1]), float(rest[2])
        print(json.dumps(send(address, int(port), size, rate, seconds)))
    else:
        print(json.dumps(receive(address, int(port))))


if __name__ == "__main__":
    main()
