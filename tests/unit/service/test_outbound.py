import ipaddress
import re
from collections.abc import Sequence

import pytest

from service.errors import HostUnresolved, UrlRefused
from service.outbound import AllowList, is_public, judged_addresses, parse_url, resolve_by_system, unmapped

NOBODY_LISTED = AllowList()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
        "ff02::1", "4000::1",
    ],
)  # fmt: skip
def test_what_is_not_one_host_of_the_public_network_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_admitted_without_a_list(address: str) -> None:
    assert NOBODY_LISTED.admits("example.com", ipaddress.ip_address(address))


def test_a_mapped_address_is_judged_and_used_as_the_ipv4_address_that_it_is() -> None:
    mapped, private = ipaddress.ip_address("::ffff:8.8.8.8"), ipaddress.ip_address("::ffff:10.20.0.1")
    assert unmapped(mapped) == ipaddress.ip_address("8.8.8.8")
    assert NOBODY_LISTED.admits("h", mapped)
    assert not NOBODY_LISTED.admits("h", private)
    assert AllowList.parse("10.20.0.0/16").admits("h", private)


def test_a_listed_name_covers_private_addresses_but_no_clouds_metadata() -> None:
    allow = AllowList.parse(" QA.plant.local. , ,")
    private, metadata = ipaddress.ip_address("10.0.0.7"), ipaddress.ip_address("169.254.169.254")
    assert allow.admits("qa.plant.local", private)
    assert not allow.admits("other.plant.local", private)
    assert not allow.admits("qa.plant.local", metadata)
    assert AllowList.parse("169.254.169.254").admits("qa.plant.local", metadata)


@pytest.mark.parametrize(
    "text", ["10.20.3.4/16", "10.0.0.0/33", "qa plant", "*.plant.local", "http://qa", "qa:80", "256.1.1.1"]
)
def test_an_entry_that_is_neither_a_name_nor_a_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        AllowList.parse(f"fine.local,{text}")


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com/x", "ftp://example.com", "file:///etc/passwd", "http://", "http:///x",
        "http://user@example.com", "http://user:word@example.com", "http://example.com@10.0.0.1/", "http://@example.com",
        "http://example.com/#part", "http://example.com#", "http://example.com\\@10.0.0.1", "http://exa mple.com",
        "http://example.com/\n", "http://exämple.com", "http://example.com:22/", "http://example.com:0/",
        "http://example.com:70000/", "http://example.com:x/", "http://[::1", "http://[fe80::1%25eth0]/",
        "http://[v1.x]/", "http://a..b/", "http://-a.b/", "http://%31%32%37.0.0.1/", f"http://{'a' * 64}.com/",
    ],
)  # fmt: skip
def test_urls_that_nothing_is_sent_to_are_refused(url: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        parse_url(url)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    ("url", "authority", "at"),
    [
        ("HTTPS://Example.COM", "example.com", "https://192.0.2.1:443/"),
        ("http://example.com.:8080/a/b?c=d&e", "example.com:8080", "http://192.0.2.1:8080/a/b?c=d&e"),
        ("https://[2001:DB8::1]:8443/?x", "[2001:db8::1]:8443", "https://192.0.2.1:8443/?x"),
    ],
)
def test_a_url_is_sent_to_an_address_under_its_own_name(url: str, authority: str, at: str) -> None:
    target = parse_url(url)
    assert target.authority == authority
    assert target.url_at(ipaddress.ip_address("192.0.2.1")) == at
    assert "[2001:db8::2]" in target.url_at(ipaddress.ip_address("2001:db8::2"))


def test_one_address_that_is_not_admitted_refuses_them_all_and_is_not_told() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "10.1.2.3"]

    with pytest.raises(UrlRefused) as refused:
        judged_addresses(parse_url("http://example.com"), NOBODY_LISTED, resolve)
    assert "10.1.2.3" not in refused.value.detail
    found = judged_addresses(parse_url("http://example.com"), AllowList.parse("10.1.2.3"), resolve)
    assert [str(one) for one in found] == ["8.8.8.8", "10.1.2.3"]


@pytest.mark.parametrize(
    "spelling", ["http://127.1/", "http://2130706433/", "http://0x7f.0.0.1/", "http://0177.0.0.1/"]
)
def test_every_spelling_of_loopback_is_judged_by_the_address_that_it_resolves_to(spelling: str) -> None:
    with pytest.raises(UrlRefused, match="not public"):
        judged_addresses(parse_url(spelling), NOBODY_LISTED, resolve_by_system)


def test_a_name_without_an_address_is_said_to_be_one() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    for nothing in (resolve, lambda host, port: []):
        with pytest.raises(HostUnresolved):
            judged_addresses(parse_url("http://example.com"), NOBODY_LISTED, nothing)
