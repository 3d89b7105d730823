"""What every receiver of bgp.py hears: sessions of one process, from as many
addresses as are asked for, that say what was written out before.

A process of its own, so that what it takes is nobody else's; it answers over a
pipe. Times are of CLOCK_MONOTONIC, which the two share.
"""

import multiprocessing
import selectors
import socket
import struct
import time
from collections import deque

ASN = 65_001
HOLD_TIME = 240
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
# Of four-octet AS numbers (RFC 6793) and IPv4 unicast (RFC 4760).
CAPABILITIES = bytes((1, 4, 0, 1, 0, 1, 65, 4)) + struct.pack("!I", ASN)
REDIAL = 0.2


def message(kind, body=b""):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def opening(identifier):
    parameters = bytes((2, len(CAPABILITIES))) + CAPABILITIES
    fixed = struct.pack("!BHH4sB", 4, ASN, HOLD_TIME, socket.inet_aton(identifier), len(parameters))
    return message(OPEN, fixed + parameters)


def prefix(address, length):
    """A network as an UPDATE has it (RFC 4271 §4.3)."""
    return bytes((length,)) + struct.pack("!I", address)[: (length + 7) // 8]


def announcement(next_hop, path, networks):
    """An UPDATE; `path` are the systems behind ours."""
    systems = struct.pack(f"!{1 + len(path)}I", ASN, *path)
    attributes = (bytes((0x40, 1, 1, 0))
                  + bytes((0x40, 2, 2 + len(systems), 2, 1 + len(path))) + systems
                  + bytes((0x40, 3, 4)) + socket.inet_aton(next_hop))
    body = b"\0\0" + struct.pack("!H", len(attributes)) + attributes + b"".join(networks)
    return message(UPDATE, body)


def withdrawal(networks):
    networks = b"".join(networks)
    return message(UPDATE, struct.pack("!H", len(networks)) + networks + b"\0\0")


END_OF_RIB = message(UPDATE, b"\0\0\0\0")


class Session:
    """One connection, dialed until it is up; `said` goes out at once then."""

    def __init__(self, local, remote, said):
        self.local, self.remote, self.said = local, remote, said
        self.socket, self.redial_at = None, 0.0
        self.heard, self.unsent = b"", b""
        self.established = None


class Sessions:
    """All of them, and the loop that serves them."""

    def __init__(self, pipe, at_once):
        self.pipe, self.at_once = pipe, at_once
        # Dialed, and not answered with an OPEN yet.
        self.dialing = set()
        self.selector = selectors.DefaultSelector()
        self.selector.register(pipe, selectors.EVENT_READ, None)
        self.all, self.waiting = [], deque()
        self.withdrawn = []
        self.failure = None
        self.asked_established = False
        self.keepalive_at = time.monotonic() + HOLD_TIME / 4
        self.is_over = False

    def serve(self):
        while not self.is_over:
            now = time.monotonic()
            while (self.waiting and self.waiting[0].redial_at <= now
                   and len(self.dialing) < self.at_once):
                self.dial(self.waiting.popleft())
            if self.keepalive_at <= now:
                self.keepalive_at = now + HOLD_TIME / 4
                for session in self.all:
                    if session.established is not None and session.socket is not None:
                        self.send(session, message(KEEPALIVE))
            until = self.keepalive_at
            if self.waiting and len(self.dialing) < self.at_once:
                until = min(until, self.waiting[0].redial_at)
            for key, events in self.selector.select(max(until - time.monotonic(), 0)):
                if key.data is None:
                    self.answer(*self.pipe.recv())
                    continue
                if events & selectors.EVENT_WRITE:
                    self.flush(key.data)
                if events & selectors.EVENT_READ and key.data.socket is not None:
                    self.hear(key.data)
            if self.failure and self.asked_established:
                self.asked_established = False
                self.pipe.send(self.failure)
            if self.asked_established and all(it.established is not None for it in self.all):
                self.asked_established = False
                self.pipe.send([it.established for it in self.all])

    def answer(self, what, *words):
        if what == "open":
            remote, sessions = words
            # Each may have somebody else to dial.
            for local, said, *other in sessions:
                session = Session(local, *(other or (remote,)), said)
                self.all.append(session)
                self.waiting.append(session)
            self.pipe.send(time.monotonic())
        elif what == "established":
            self.asked_established = True
        elif what == "say":
            session = self.all[words[1] if words[1:] else 0]
            begun = time.monotonic()
            if not self.failure:
                self.send(session, words[0])
            self.pipe.send(self.failure or begun)
        elif what == "heard":
            self.pipe.send(self.failure or self.withdrawn)
            self.withdrawn = []
        else:
            self.is_over = True

    def dial(self, session):
        self.dialing.add(session)
        session.socket = socket.socket()
        session.socket.setblocking(False)
        session.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session.socket.bind((session.local, 0))
        session.heard, session.unsent = b"", opening(session.local)
        try:
            session.socket.connect((session.remote, 179))
        except BlockingIOError:
            pass
        except OSError:
            self.lost(session)
            return
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self.selector.register(session.socket, both, session)

    def lost(self, session, why="closed"):
        if session.established is not None:
            self.failure = RuntimeError(f"the session from {session.local} was ended: {why}")
        if session.socket.fileno() in self.selector.get_map():
            self.selector.unregister(session.socket)
        session.socket.close()
        session.socket = None
        self.dialing.discard(session)
        if session.established is None:
            session.redial_at = time.monotonic() + REDIAL
            self.waiting.append(session)

    def send(self, session, what):
        was_empty = not session.unsent
        session.unsent = what if was_empty else bytes(session.unsent) + what
        if was_empty:
            self.flush(session)

    def flush(self, session):
        try:
            while session.unsent:
                # A view, for what is left of megabytes is not to be copied each time.
                session.unsent = memoryview(session.unsent)
                session.unsent = session.unsent[session.socket.send(session.unsent[: 1 << 18]):]
        except BlockingIOError:
            pass
        except OSError:
            self.lost(session)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if session.unsent else 0)
        self.selector.modify(session.socket, events, session)

    def hear(self, session):
        try:
            heard = session.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            self.lost(session)
            return
        now = time.monotonic()
        session.heard += heard
        while 19 <= len(session.heard):
            length, kind = struct.unpack_from("!HB", session.heard, 16)
            if len(session.heard) < length:
                return
            body, session.heard = session.heard[19:length], session.heard[length:]
            if kind == OPEN:
                self.dialing.discard(session)
                self.send(session, message(KEEPALIVE))
            elif kind == KEEPALIVE and session.established is None:
                session.established = now
                self.send(session, session.said)
            elif kind == UPDATE and body[:2] != b"\0\0":
                self.withdrawn.append(now)
            elif kind == NOTIFICATION:
                self.lost(session, f"NOTIFICATION {body[0]}/{body[1]} {body[2:]}")
                return


class Sender:
    """The process, while it is wanted."""

    def __init__(self, at_once=1):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=lambda: Sessions(other, at_once).serve(),
                                               daemon=True)
        self.process.start()
        other.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.pipe.send(("end",))
            self.process.join(5)
        except OSError:
            pass
        self.process.kill()

    def ask(self, *words, patience=600):
        self.pipe.send(words)
        if not self.pipe.poll(patience):
            raise RuntimeError(f"the sender did not answer in {patience} s: {words[0]}")
        return self.hear()

    def hear(self):
        """What it answered; it may be why it cannot."""
        answer = self.pipe.recv()
        if isinstance(answer, RuntimeError):
            raise answer
        return answer
