"""A certificate authority of one afternoon, and a certificate of it that may sign Content Credentials."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USES = (
    "content_commitment", "crl_sign", "data_encipherment", "decipher_only", "digital_signature", "encipher_only",
    "key_agreement", "key_cert_sign", "key_encipherment",
)  # fmt: skip


@dataclass(frozen=True)
class Credentials:
    """Files as an operator has them."""

    certificate: Path
    key: Path


def make_credentials(folder: Path, name: str = "Plant 7") -> Credentials:
    """A chain of two and the key of its first."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("Test authority", authority_key.public_key(), "Test authority", authority_key)
    own = _certificate(name, key.public_key(), "Test authority", authority_key)
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (own, authority))
    made = Credentials(folder / f"{name}.pem", folder / f"{name}.key")
    made.certificate.write_bytes(chain)
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _certificate(
    name: str, of: ec.EllipticCurvePublicKey, by: str, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    is_authority, now = name == by, datetime.now(UTC)
    uses = {"digital_signature"} | ({"key_cert_sign", "crl_sign"} if is_authority else set())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(of)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(**{use: use in uses for use in _USES}), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    attributes = ((NameOID.COMMON_NAME, text), (NameOID.ORGANIZATION_NAME, text))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
