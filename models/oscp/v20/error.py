"""The body of an answer of OSCP 2.0 that reports an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from models.oscp.v20.fields import MessageText, is_none


class ErrorBody(BaseModel):
    """What went wrong, in words. Peers answer with other bodies too, and with no JSON at all.

    Source: OSCP 2.0 JSON schema error.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    message: MessageText | None = Field(default=None, exclude_if=is_none)
