"""Addresses of machines, and what stands in URLs."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar

from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import IpRecognizer, MacAddressRecognizer, UrlRecognizer

from helix.redact.recognizers.base import Anchored

__all__ = ["Ip", "Mac", "Url", "UrlCredentials"]


class Ip(Anchored, IpRecognizer):  # type: ignore[misc]
    """Addresses of single hosts."""

    anchor = r"[\d:](?:(?<=\d)\.\d{1,3}\.\d|(?<=:)[0-9A-Fa-f]{0,4}:)"
    around = r"\w:.%/"

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it is no address, or that of no particular host."""
        try:
            interface = ipaddress.ip_interface(pattern_text)
        except ValueError:
            return True
        address = interface.ip
        if interface.version == 6 and sum(map(bool, re.split(r"[:%/]", pattern_text))) < 3:
            return True  # "::add" and "cafe::" are names in code before they are addresses
        prefix = interface.network.prefixlen
        return (
            address.is_loopback
            or address.is_unspecified
            or address.is_multicast
            or (prefix < address.max_prefixlen and address == interface.network.network_address)
            or (interface.version == 4 and (int(address) >> 24 in (0, 255)))
        )


class Mac(Anchored, MacAddressRecognizer):  # type: ignore[misc]
    """Hardware addresses."""

    is_certain = True
    anchor = r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}[:-]|[0-9A-Fa-f]{2}\.[0-9A-Fa-f]{4}\.)"
    around = r"\w:.-"


class Url(Anchored, UrlRecognizer):  # type: ignore[misc]
    """URLs with a scheme."""

    needs = "://"
    is_certain = True
    anchor = "://"
    around = r"^\s()<>\"'"
    PATTERNS: ClassVar = [pattern for pattern in UrlRecognizer.PATTERNS if pattern.name == "Standard Url"]


class UrlCredentials(Anchored, PatternRecognizer):  # type: ignore[misc]
    """User name and password before the host of a URL."""

    needs = "://"
    is_certain = True
    anchor = "://"
    around = r"^\s<>\"'"

    def __init__(self, supported_language: str = "en") -> None:
        pattern = Pattern("userinfo", r"(?<=[a-z0-9]://)[^\s/?#@:\"'<>]*:[^\s/?#@\"'<>]+(?=@)", 1.0)
        super().__init__("URL_CREDENTIALS", patterns=[pattern], supported_language=supported_language)
