"""One MQTT connection, from its first byte to its will (MQTT §3), in the way of nats-server. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from broker.mqtt import packets
from broker.mqtt.memory import JAIL, Memory
from broker.mqtt.packets import (
    Acknowledgement,
    Connect,
    Packet,
    PacketFault,
    PingRequest,
    Publish,
    Reader,
    Refusal,
    Subscribe,
    TooLong,
    Unsubscribe,
)
from broker.mqtt.port import Message, Port, Timer
from broker.mqtt.retained import Retained
from broker.mqtt.session import Session, Sub, topic_bytes
from broker.mqtt.topics import OWN_PREFIX, TopicFault, filter_subject, level_up, subject_of
from broker.protocol.texts import Closed
from issuer.claims.fields import UNLIMITED as NO_LIMIT

log = logging.getLogger("accredit.broker")

HEADER: Final = b"NATS/1.0\r\nNmqtt-Pub:%d\r\n\r\n"
"""The headers under which subscribers of NATS get what MQTT clients publish."""
_HEADER_SIZE: Final = len(HEADER % 0)
_STAGED: Final = len("Nmqtt-Subject:\r\n") + 1
"""What a message of quality 2 costs beside its subject while it waits to be released."""
_INBOX: Final = "$MQTT.sub."
_RELEASES: Final = "$MQTT.deliver.pubrel."
_SLACK: Final = 2 * packets.MAX_TEXT
"""What a packet may have beside a message of the greatest size."""
_LONGEST: Final = 1 << 28
"""No packet is longer, whatever is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the listener asks for."""

    reject_qos2_publish: bool = False
    downgrade_qos2_subscribe: bool = False


class _State(Enum):
    NEW = 1
    DECIDING = 2
    OPEN = 3
    ENDED = 4


class Conversation:
    """Reads packets and answers them. `admitted` and `closed` are called from outside."""

    __slots__ = (
        "_connect",
        "_heard",
        "_hears_releases",
        "_memory",
        "_port",
        "_session",
        "_settings",
        "_state",
        "_timer",
        "_will",
        "reader",
    )

    def __init__(self, port: Port, settings: Settings | None = None) -> None:
        self._port = port
        self._settings = settings or Settings()
        self.reader = Reader(self._limit(), reject_qos2=self._settings.reject_qos2_publish)
        self._state = _State.NEW
        self._connect: Connect
        self._memory: Memory
        self._session: Session | None = None
        self._will: packets.Will | None = None
        self._heard = 0.0
        self._timer: Timer | None = None
        self._hears_releases = False

    @property
    def waits(self) -> bool:
        """It is being decided: what comes in is not read yet."""
        return self._state is _State.DECIDING

    @property
    def connected(self) -> bool:
        """It has said CONNECT."""
        return self._state is not _State.NEW

    # --- bytes in ----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if self._state is _State.ENDED:
            return
        self._heard = self._port.now()
        self.reader.feed(data)
        self._go_on()

    def _go_on(self) -> None:
        try:
            while self._state in {_State.NEW, _State.OPEN} and (packet := self._next()) is not None:
                self._take(packet)
        except PacketFault as fault:
            log.error("%r - %s", self._port, fault)  # noqa: TRY400  the words say all
            if fault.refusal is not None:
                self._port.send(packets.connack(fault.refusal))
            self._port.close(Closed.PROTOCOL_VIOLATION)
        except TooLong:
            self._port.close(Closed.MAX_PAYLOAD)

    def _next(self) -> Packet | None:
        reader = self.reader
        if self._state is _State.NEW and reader.buffered and not reader.starts_with(b"\x10"):
            raise PacketFault("the first packet should be a CONNECT")
        return reader.next()

    def _limit(self, slack: int = 0) -> int:
        limit = self._port.max_payload()
        return _LONGEST if limit == NO_LIMIT else max(limit, 0) + slack

    def _take(self, packet: Packet) -> None:
        session = self._session
        if isinstance(packet, Connect):
            if self._state is not _State.NEW:
                raise PacketFault("received a second CONNECT packet")
            self._begin(packet)
        elif session is None:
            raise PacketFault("the first packet should be a CONNECT")
        elif isinstance(packet, Publish):
            self._publish(packet, session)
        elif isinstance(packet, Acknowledgement):
            self._acknowledge(packet, session)
        elif isinstance(packet, Subscribe):
            self._subscribe(packet, session)
        elif isinstance(packet, Unsubscribe):
            self._unsubscribe(packet, session)
        elif isinstance(packet, PingRequest):
            self._port.send(packets.PING_RESPONSE)
        else:
            self._will = None
            self._leave()
            self._port.close(Closed.CLIENT_CLOSED)

    # --- CONNECT -----------------------------------------------------------------------------------

    def _begin(self, connect: Connect) -> None:
        if connect.will is not None:
            # A will that could not be published is refused now, not when it is too late.
            self._subject(connect.will.topic)
        if not connect.client_id:
            connect = Connect(
                self._port.unique(),
                connect.clean,
                connect.keep_alive,
                connect.will,
                connect.user,
                connect.password,
            )
        self._connect = connect
        self._state = _State.DECIDING
        self._port.authenticate(connect)

    def admitted(self, memory: Memory) -> None:
        """It may come in, to what this account keeps."""
        port, connect = self._port, self._connect
        self._memory = memory
        if memory.jailed(connect.client_id, port.now()):
            self._timer = port.later(JAIL, lambda: port.close(Closed.DUPLICATE_CLIENT_ID))
            return
        session, present = memory.take(connect.client_id, self, clean=connect.clean, now=port.now())
        self._session = session
        self._will = connect.will
        self._state = _State.OPEN
        self.reader.limit = self._limit(_SLACK)
        port.send(packets.connack(present=present))
        self._restore(session)
        session.attach()
        self._watch()
        self._go_on()

    def refusal(self) -> bytes:
        """What a client is told that is not let in."""
        return packets.connack(Refusal.NOT_AUTHORIZED)

    def _restore(self, session: Session) -> None:
        for subject, qos in list(session.filters.items()):
            if self._register(session, subject, qos):
                continue
            # No longer allowed: what was kept for it is not for this client any more.
            for sid in _sids(subject):
                sub = session.subs.pop(sid, None)
                if sub is not None:
                    session.drop(sub)

    # --- silence -----------------------------------------------------------------------------------

    def _watch(self) -> None:
        # The server's arithmetic: one and a half times as long, in whole seconds.
        patience = self._connect.keep_alive * 3 // 2
        if patience and self._state is _State.OPEN:
            rest = self._heard + patience - self._port.now()
            if rest > 0:
                self._timer = self._port.later(rest, self._watch)
            else:
                self._port.close(Closed.READ_ERROR)

    # --- PUBLISH -----------------------------------------------------------------------------------

    def _subject(self, topic: str) -> str:
        try:
            return subject_of(topic)
        except TopicFault as fault:
            raise PacketFault(f"{fault}: {topic!r}") from None

    def _publish(self, packet: Publish, session: Session) -> None:
        subject = self._subject(packet.topic)
        size = _HEADER_SIZE + len(packet.payload)
        if packet.qos == 2:
            size += _STAGED + len(subject.encode())
        limit = self._port.max_payload()
        if limit != NO_LIMIT and limit < size:
            raise TooLong
        if packet.qos == 2:
            if not session.stage(packet):
                raise PacketFault("no room for a message")
            self._port.send(packets.answer(packets.PUBREC, packet.number))
            return
        self._pass_on(subject, packet)
        if packet.qos:
            self._port.send(packets.answer(packets.PUBACK, packet.number))

    def _pass_on(self, subject: str, packet: Publish) -> None:
        went_to = self._port.publish(subject, packet.payload, qos=packet.qos)
        if went_to is not None and packet.retain:
            self._memory.retain(went_to, Retained(topic_bytes(went_to), packet.payload, packet.qos))

    def _acknowledge(self, packet: Acknowledgement, session: Session) -> None:
        if packet.kind == packets.PUBACK:
            session.acknowledged(packet.number)
        elif packet.kind == packets.PUBREC:
            session.received(packet.number)
        elif packet.kind == packets.PUBCOMP:
            session.completed(packet.number)
        else:
            staged = session.unstage(packet.number)
            if staged is not None:
                self._pass_on(self._subject(staged.topic), staged)
            self._port.send(packets.answer(packets.PUBCOMP, packet.number))

    # --- SUBSCRIBE ---------------------------------------------------------------------------------

    def _subscribe(self, packet: Subscribe, session: Session) -> None:
        granted: list[int] = []
        retained: list[bytes] = []
        for text, asked in packet.filters:
            qos = 1 if asked == 2 and self._settings.downgrade_qos2_subscribe else asked
            try:
                subject = filter_subject(text)
            except TopicFault as fault:
                log.error("%r - invalid topic %r: %s", self._port, text, fault)  # noqa: TRY400  as above
                subject = ""
            if not subject or subject.startswith(OWN_PREFIX) or not self._register(session, subject, qos):
                granted.append(packets.REFUSED_FILTER)
                continue
            session.filters[subject] = qos
            granted.append(qos)
            own, *above = [self._retained(session, session.subs[sid]) for sid in _sids(subject)]
            retained += [each for part in (*above, own) for each in part]
        self._port.send(packets.suback(packet.number, tuple(granted)))
        for each in retained:
            self._port.send(each)

    def _register(self, session: Session, subject: str, qos: int) -> bool:
        """Put one filter in force, with the level above where it means that one too."""
        if qos == 2 and not self._hear_releases(session):
            return False
        above = level_up(subject)
        if not self._stand(session, subject, subject, qos):
            return False
        if above is not None and not self._stand(session, above, _sids(subject)[1], qos):
            self._end(session, subject)
            return False
        return True

    def _stand(self, session: Session, subject: str, sid: str, qos: int) -> bool:
        sub = session.subs.get(sid) or Sub(subject, sid)
        handle = self._port.subscribe(subject, sid, self._deliverer(sub))
        if handle is None:
            return False
        session.subs[sid] = sub
        sub.handle, sub.qos = handle, qos
        if not qos:
            self._end_queue(session, sub)
        elif not sub.bound:
            # It stands for the queue's own subscription on the server, and counts as that does.
            sub.inbox = sub.inbox or _INBOX + self._port.unique()
            if self._port.subscribe(sub.inbox, sub.inbox, _nothing) is None:
                self._end(session, sid)
                return False
            sub.bound, sub.kept_qos = True, qos
        return True

    def _hear_releases(self, session: Session) -> bool:
        if not self._hears_releases:
            subject = _RELEASES + session.client_id
            self._hears_releases = self._port.subscribe(subject, subject, _nothing) is not None
        return self._hears_releases

    def _end_queue(self, session: Session, sub: Sub) -> None:
        if sub.inbox:
            session.drop(sub)
            self._port.unsubscribe(sub.inbox)
            sub.inbox, sub.bound = "", False

    def _end(self, session: Session, sid: str) -> None:
        sub = session.subs.pop(sid, None)
        if sub is not None:
            self._port.unsubscribe(sid)
            self._end_queue(session, sub)

    def _unsubscribe(self, packet: Unsubscribe, session: Session) -> None:
        for text in packet.filters:
            try:
                subject = filter_subject(text)
            except TopicFault:
                continue
            for sid in _sids(subject):
                self._end(session, sid)
            session.filters.pop(subject, None)
        self._port.send(packets.answer(packets.UNSUBACK, packet.number))

    # --- messages to the client --------------------------------------------------------------------

    def _deliverer(self, sub: Sub) -> Callable[[Message], None]:
        def deliver(message: Message) -> None:
            if sub.hides(message.subject):
                return
            if sub.qos and message.qos:
                # Others may say what they like in a header: only MQTT clients publish with quality.
                if message.from_mqtt and self._session is not None:
                    self._session.offer(sub, message)
                return
            topic = topic_bytes(message.subject)
            if len(topic) <= packets.MAX_TEXT:
                self._port.send(packets.publish(topic, message.payload))

        return deliver

    def _retained(self, session: Session, sub: Sub) -> list[bytes]:
        """The retained messages a new subscriber gets."""
        found: list[bytes] = []
        for subject, message in self._memory.retained.match(sub.subject):
            qos = min(message.qos, sub.qos)
            if not self._port.may_deliver(subject) or (qos == 2 and self._settings.reject_qos2_publish):
                continue
            number = session.number_retained(sub, subject, message.payload, qos) if qos else 0
            found.append(
                packets.publish(
                    message.topic, message.payload, qos=qos if number else 0, number=number, retain=True
                )
            )
        return found

    # --- as the session's line ---------------------------------------------------------------------

    def send(self, packet: bytes) -> None:
        self._port.send(packet)

    def may_deliver(self, subject: str) -> bool:
        return self._port.may_deliver(subject)

    def now(self) -> float:
        return self._port.now()

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        return self._port.later(seconds, action)

    def evicted(self) -> None:
        self._will = None
        self._port.close(Closed.DUPLICATE_CLIENT_ID)

    # --- the end -----------------------------------------------------------------------------------

    def closed(self) -> None:
        """The connection is gone, whoever ended it: the session is left, the will done."""
        self._leave()
        self._state = _State.ENDED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is None or not self._memory.leave(session, self):
            return
        will, self._will = self._will, None
        if will is not None:
            message = Publish(will.topic, will.payload, will.qos, retain=will.retain)
            self._pass_on(self._subject(will.topic), message)


def _sids(subject: str) -> tuple[str, ...]:
    """The names of a filter's subscriptions: its own, and that of the level above."""
    above = level_up(subject)
    return (subject,) if above is None else (subject, f"{above} fwc")


def _nothing(_: Message) -> None:
    pass
