"""The serving certificate: given as files, or made, renewed and kept in a Secret or a folder.

``ca.crt`` is what clients must trust: ``caData`` of the kube-scheduler configuration. Certificates that
came without ``ca.key`` belong to somebody else (cert-manager, an operator): they are read again when they
change and never replaced.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from extender.config import Config
from scheduler.kube.client import ApiError, KubeClient
from scheduler.kube.resources import SECRETS
from topology.keys import SECRET_TYPE_TLS

log = structlog.get_logger("muster.certs")

CA, CA_KEY, CERT, KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"
"""Keys of the Secret and names of the files."""

Files = Mapping[str, bytes]

_CA_LIFE = datetime.timedelta(days=3650)
_CERT_LIFE = datetime.timedelta(days=90)
_SKEW = datetime.timedelta(minutes=5)
_CHECK_SECONDS = 60.0
_ATTEMPTS = 5


class CertificateError(Exception):
    """There is no usable certificate; one line that says what to do."""


def serving_names(namespace: str, extra: Iterable[str] = ()) -> tuple[str, ...]:
    """DNS names and addresses under which clients reach us: the Service's, loopback, and ``extra``."""
    service = f"muster.{namespace}.svc"
    own = ("muster", f"muster.{namespace}", service, f"{service}.cluster.local")
    return tuple(dict.fromkeys((*own, "localhost", "127.0.0.1", "::1", *extra)))


def issue(names: tuple[str, ...], now: datetime.datetime, before: Files | None = None) -> Files:
    """A serving certificate for ``names``, signed by the authority of ``before`` if that has time left.

    A new authority is put in front of the old one in ``ca.crt``, so that clients may trust both.
    """
    old = dict(before or {})
    if CA_KEY not in old or _used_up(_first(old[CA]), now):
        key = ec.generate_private_key(ec.SECP256R1())
        authority = _sign("muster-ca", key, None, key, (), now, _CA_LIFE)
        old_ca = _pem(_first(old[CA])) if CA_KEY in old else b""
        old |= {CA: _pem(authority) + old_ca, CA_KEY: _key_pem(key)}
    authority, authority_key = _first(old[CA]), _read_key(old[CA_KEY])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign("muster", key, authority, authority_key, names, now, _CERT_LIFE)
    return {**old, CERT: _pem(certificate), KEY: _key_pem(key)}


def due(files: Files, names: tuple[str, ...], now: datetime.datetime) -> bool:
    """Whether a certificate of our own is to be made anew: unreadable, two thirds of its life are over,
    or it lacks one of ``names``."""
    if CERT in files and CA_KEY not in files:
        return False  # somebody else's
    try:
        certificate = _first(files[CERT])
        _read_key(files[KEY])
        _read_key(files[CA_KEY])
        authority = _first(files[CA])
    except (KeyError, ValueError, TypeError):
        return True
    expired = _used_up(certificate, now) or _used_up(authority, now)
    return expired or not set(names) <= _names_of(certificate)


def _used_up(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= start + (end - start) * 2 / 3


def _names_of(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = found.get_values_for_type(x509.IPAddress)
    return {
        *found.get_values_for_type(x509.DNSName),
        *(str(address) for address in addresses),
    }


def _sign(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    now: datetime.datetime,
    life: datetime.timedelta,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    end = now + life if issuer is None else min(now + life, issuer.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(_usage(ca=issuer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = (
            builder.add_extension(server, critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(authority, critical=False)
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    """Python 3.13 and newer refuse an authority that does not say that it may sign (RFC 5280, 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _first(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem)[0]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of the authority is not an elliptic curve key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Store(Protocol):
    """Where certificates are kept. ``read`` gives them with a version that ``write`` checks."""

    async def read(self) -> tuple[Files, str]:
        """All files, and a version; nothing and "" when there are none yet."""

    async def write(self, files: Files, version: str) -> bool:
        """Replace them; False when somebody else wrote them since ``version``."""


class SecretStore:
    """A Secret of type ``kubernetes.io/tls``; replicas share it."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self._place = (namespace, name)

    async def read(self) -> tuple[Files, str]:
        """Files of the Secret and its resourceVersion. Raises ``ApiError``."""
        secret = await self._client.find(SECRETS, *self._place)
        if secret is None:
            return {}, ""
        try:
            data = secret.get("data") or {}
            files = {name: base64.b64decode(text, validate=True) for name, text in data.items()}
        except (binascii.Error, ValueError):
            files = {}
        return files, str(secret["metadata"]["resourceVersion"])

    async def write(self, files: Files, version: str) -> bool:
        """Create or replace the Secret; False on a conflict. Raises ``ApiError``."""
        namespace, name = self._place
        metadata = {"namespace": namespace, "name": name}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE_TLS,
            "metadata": metadata | ({"resourceVersion": version} if version else {}),
            "data": {key: base64.b64encode(value).decode() for key, value in files.items()},
        }
        try:
            if version:
                await self._client.replace(SECRETS, body, namespace=namespace, name=name)
            else:
                await self._client.create(SECRETS, body, namespace=namespace)
        except ApiError as error:
            if error.status == 409:
                return False
            if error.status == 404:
                raise CertificateError(
                    f"namespace {namespace} does not exist: create it, or give --tls-dir"
                ) from error
            raise
        return True


class FolderStore:
    """Files in a folder, for running outside a cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self) -> tuple[Files, str]:
        """The files that exist; their times are the version."""
        found = [path for name in (CA, CA_KEY, CERT, KEY) if (path := self._folder / name).exists()]
        version = repr([path.stat().st_mtime_ns for path in found])
        return {path.name: path.read_bytes() for path in found}, version if found else ""

    async def write(self, files: Files, version: str) -> bool:
        """Write all files, keys unreadable for others; each appears whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            fresh = self._folder / f".{name}.new"
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(content)
            fresh.replace(self._folder / name)
        return True


class Serving:
    """The certificate in use. ``context`` stays the same object; new connections see a renewal."""

    def __init__(self, store: Store, names: tuple[str, ...], client_ca: str = "") -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.files: Files = {}
        """PEM of ``ca.crt``, ``tls.crt`` and ``tls.key`` as last loaded."""
        self._store = store
        self._names = names
        if client_ca:
            # Optional at this layer, because probes of the kubelet have none; the verbs ask for it.
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_OPTIONAL

    async def refresh(self, now: datetime.datetime) -> bool:
        """Read the certificates, make them anew when that is due, load what changed; whether it did.

        Raises ``CertificateError``, ``ApiError``, ``OSError`` (which an unusable pair is: ``SSLError``).
        """
        for _ in range(_ATTEMPTS):  # another replica may be making them at the same moment
            files, version = await self._store.read()
            if not due(files, self._names, now):
                break
            files = issue(self._names, now, files if _ours(files) else None)
            if await self._store.write(files, version):
                log.info("certificate made", names=list(self._names))
                break
        else:
            raise CertificateError("the certificate is written again and again by others")
        if files == self.files:
            return False
        self._load(files)
        self.files = files
        return True

    async def renew(self) -> None:
        """Keep the certificate fresh until cancelled; a failure is logged and tried again."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                if await self.refresh(datetime.datetime.now(datetime.UTC)):
                    log.info("certificate loaded")
            except (CertificateError, ApiError, OSError) as error:
                log.warning("certificate not renewed", error=str(error))

    def _load(self, files: Files) -> None:
        missing = [name for name in (CERT, KEY) if name not in files]
        if missing:
            raise CertificateError(f"the certificate lacks {' and '.join(missing)}")
        with tempfile.TemporaryDirectory() as folder:  # ssl reads keys from files only; mode 0700
            paths = [Path(folder, name) for name in (CERT, KEY)]
            for path in paths:
                path.write_bytes(files[path.name])
            self.context.load_cert_chain(paths[0], paths[1])


def _ours(files: Files) -> bool:
    try:
        _read_key(files[CA_KEY])
        _first(files[CA])
    except (KeyError, ValueError, TypeError):
        return False
    return True


async def serving_context(config: Config, client: KubeClient) -> Serving:
    """The certificate of the configured folder or Secret, made when there is none.

    Raises ``CertificateError`` or ``ApiError``.
    """
    names = serving_names(config.namespace, config.tls_names)
    store: Store = (
        FolderStore(Path(config.tls_dir))
        if config.tls_dir
        else SecretStore(client, config.namespace, config.tls_secret)
    )
    serving = Serving(store, names, config.client_ca)
    try:
        await serving.refresh(datetime.datetime.now(datetime.UTC))
    except OSError as error:
        raise CertificateError(f"cannot use the certificate: {error}") from error
    return serving
