"""Owns the shapes in which Dataverse says no. Decides nothing."""

from __future__ import annotations

from headwater.sandbox.call import Answer, Refusal

UNEXPECTED = "0x80040216"
GONE = "0x80040217"
BAD_PAYLOAD = "0x80048d19"
BAD_REQUEST = "0x80060888"
NO_RESOURCE = "0x8006088a"
NO_KEY = "0x80060890"
KEY_TAKEN = "0x80060892"
TOO_LONG = "0x80044331"
DELTA_EXPIRED = "0x80044352"


def problem(status: int, code: str, words: str) -> Answer:
    """An error answer in Dataverse's shape."""
    return Answer(status, {"error": {"code": code, "message": words}})


def refusal(status: int, code: str, words: str) -> Refusal:
    """The request is refused for this reason."""
    return Refusal(problem(status, code, words), f"{code}: {words}")


def gone(table: str, record_id: str) -> Refusal:
    """The record does not exist."""
    return refusal(404, GONE, f"Entity '{table.capitalize()}' With Id = {record_id} Does Not Exist")


def payload(table: str, words: str) -> Refusal:
    """A body cannot be taken."""
    return refusal(
        400, BAD_PAYLOAD, f"Error identified in Payload provided by the user for Entity :'{table}'. {words}"
    )
