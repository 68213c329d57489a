"""A reader of C2PA manifests that owes nothing to the library that writes ours: the containers, JUMBF (ISO 19566-5) and the
checks of C2PA 2.2 that a signed picture of ours must pass, on cbor2 and cryptography.

`read` returns what is stated, or raises `Broken` with what does not hold."""

import datetime
import hashlib
import struct
from dataclasses import dataclass

import cbor2
from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

# COSE (RFC 9053, RFC 8812): the algorithms that C2PA allows.
HASHES = {-7: hashes.SHA256, -35: hashes.SHA384, -36: hashes.SHA512, -37: hashes.SHA256, -38: hashes.SHA384, -39: hashes.SHA512}
EDDSA = -8
ALGORITHM, X5CHAIN = 1, 33
# Types in the descriptions of boxes: four letters and what makes a UUID of them.
LETTERS = [b"c2pa", b"c2ma", b"c2as", b"c2cl", b"c2cs", b"cbor"]
STORE, MANIFEST, ASSERTIONS, CLAIM, SIGNATURE, CBOR = (
    letters + bytes.fromhex("00110010800000aa00389b71") for letters in LETTERS
)


class Broken(Exception):
    """What does not hold."""


def ensure(holds: bool, otherwise: str):
    if not holds:
        raise Broken(otherwise)


@dataclass
class Box:
    """A JUMBF superbox."""

    kind: bytes
    label: str
    # Description and content, which are what hashes are of.
    payload: bytes
    children: list["Box"]
    # Of the first box that is no superbox.
    content: bytes | None

    def child(self, label: str) -> "Box":
        found = [box for box in self.children if box.label == label]
        ensure(len(found) == 1, f"{len(found)} boxes {label} in {self.label}")
        return found[0]

    def of_kind(self, kind: bytes) -> "Box":
        found = [box for box in self.children if box.kind == kind]
        ensure(len(found) == 1, f"{len(found)} boxes of type {kind} in {self.label}")
        return found[0]


def plain_boxes(data: bytes):
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        ensure(8 <= length <= len(data) - at, "a box is longer than what it is in")
        yield kind, data[at + 8 : at + length]
        at += length


def superbox(payload: bytes) -> Box:
    parts = list(plain_boxes(payload))
    ensure(bool(parts) and parts[0][0] == b"jumd", "a superbox without a description")
    description = parts[0][1]
    # Toggles: a label is there (2), and may be asked for (1).
    ensure(description[16] & 3 == 3, "a box without a label")
    label = description[17:].split(b"\0", 1)[0].decode()
    children = [superbox(content) for kind, content in parts[1:] if kind == b"jumb"]
    content = next((content for kind, content in parts[1:] if kind not in (b"jumb", b"free")), None)
    return Box(description[:16], label, payload, children, content)


def png(file: bytes) -> tuple[bytes, tuple[int, int]]:
    ensure(file.startswith(b"\x89PNG\r\n\x1a\n"), "no PNG")
    at, found = 8, []
    while at < len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        if kind == b"caBX":
            found.append((file[at + 8 : at + 8 + length], (at, 12 + length)))
        at += 12 + length
    ensure(len(found) == 1, f"{len(found)} chunks caBX")
    return found[0]


def jpeg(file: bytes) -> tuple[bytes, tuple[int, int]]:
    ensure(file.startswith(b"\xff\xd8"), "no JPEG")
    at, store, places, head = 2, b"", [], b""
    while file[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", file, at + 2)
        segment = file[at + 4 : at + 2 + length]
        # APP11: "JP", the box's number, the segment's number, and the box's header, repeated in each segment.
        if file[at + 1] == 0xEB and segment.startswith(b"JP"):
            (number,) = struct.unpack_from(">I", segment, 4)
            ensure(number == len(places) + 1, "segments are out of order")
            head = head or segment[8:16]
            ensure(segment[8:16] == head, "segments of several boxes")
            store += segment[16:] if store else segment[8:]
            places.append((at, 2 + length))
        at += 2 + length
    ensure(bool(places), "no APP11 segment of JUMBF")
    for (start, length), (following, _) in zip(places, places[1:]):
        ensure(start + length == following, "segments are apart")
    return store, (places[0][0], sum(length for _, length in places))


def webp(file: bytes) -> tuple[bytes, tuple[int, int]]:
    ensure(file[:4] == b"RIFF" and file[8:12] == b"WEBP", "no WebP")
    ensure(struct.unpack_from("<I", file, 4)[0] + 8 == len(file), "RIFF says another length")
    at, found = 12, []
    while at < len(file):
        kind, length = struct.unpack_from("<4sI", file, at)
        padded = length + length % 2
        if kind == b"C2PA":
            found.append((file[at + 8 : at + 8 + length], (at, 8 + length)))
        at += 8 + padded
    ensure(len(found) == 1, f"{len(found)} chunks C2PA")
    return found[0]


CONTAINERS = {"png": png, "jpeg": jpeg, "webp": webp}


def check_signature(algorithm: int, key, signature: bytes, message: bytes):
    try:
        if algorithm == EDDSA:
            ensure(isinstance(key, ed25519.Ed25519PublicKey), "a key of another algorithm")
            key.verify(signature, message)
            return
        digest = HASHES[algorithm]()
        if isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(digest))
        else:
            ensure(isinstance(key, rsa.RSAPublicKey), "a key of another algorithm")
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            key.verify(signature, message, pss, digest)
    except exceptions.InvalidSignature:
        raise Broken("the claim's signature is not its signer's") from None


def check_chain(chain: list[x509.Certificate], root: x509.Certificate):
    for certificate, issuer in zip(chain, [*chain[1:], root]):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (exceptions.InvalidSignature, ValueError) as error:
            raise Broken(f"a certificate is not its issuer's: {error}") from None
        now = datetime.datetime.now(datetime.UTC)
        ensure(certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc, "a certificate is out of date")


def digest(name: str, data: bytes) -> bytes:
    ensure(name in ("sha256", "sha384", "sha512"), f"hashes by {name}")
    return hashlib.new(name, data).digest()


def read(file: bytes, form: str, root: x509.Certificate) -> dict:
    """The claim, its assertions by label, and the place of the manifest, of a picture that holds against this root."""
    try:
        return check(file, form, root)
    except (struct.error, IndexError, KeyError, ValueError, cbor2.CBORDecodeError) as error:
        raise Broken(f"cannot be read: {error!r}") from error


def check(file: bytes, form: str, root: x509.Certificate) -> dict:
    data, (start, length) = CONTAINERS[form](file)
    ((kind, payload),) = plain_boxes(data)
    ensure(kind == b"jumb", "no JUMBF")
    store = superbox(payload)
    ensure(store.kind == STORE and store.label == "c2pa", "no manifest store")
    # The last manifest is the active one.
    manifest = store.children[-1]
    ensure(manifest.kind == MANIFEST, "no standard manifest")

    # The signature is over the claim's very bytes.
    claim_box = manifest.of_kind(CLAIM)
    sign1 = cbor2.loads(manifest.of_kind(SIGNATURE).content)
    ensure(sign1.tag == 18, "no COSE_Sign1")
    protected, _, detached, signature = sign1.value
    ensure(detached is None, "the claim is in the signature")
    header = cbor2.loads(protected)
    chain = header[X5CHAIN]
    chain = [x509.load_der_x509_certificate(der) for der in ([chain] if isinstance(chain, bytes) else chain)]
    message = cbor2.dumps(["Signature1", protected, b"", claim_box.content])
    check_signature(header[ALGORITHM], chain[0].public_key(), signature, message)
    check_chain([certificate for certificate in chain if certificate != root], root)

    # The claim has the hashes of the assertions, all of them.
    claim = cbor2.loads(claim_box.content)
    ensure(claim_box.label == "c2pa.claim.v2", "a claim of another version")
    boxes = manifest.of_kind(ASSERTIONS)
    assertions = {}
    for reference in claim["created_assertions"] + claim.get("gathered_assertions", []):
        label = reference["url"].rsplit("/", 1)[1]
        box = boxes.child(label)
        alg = reference.get("alg", claim.get("alg"))
        ensure(digest(alg, box.payload) == reference["hash"], f"the assertion {label} is another one")
        assertions[label] = cbor2.loads(box.content) if box.kind == CBOR else box.content
    ensure({box.label for box in boxes.children} == set(assertions), "assertions that the claim does not know")

    # One of them has the hash of the file but for the manifest.
    binding = assertions["c2pa.hash.data"]
    ensure(binding["exclusions"] == [{"start": start, "length": length}], "more than the manifest is left out")
    rest = file[:start] + file[start + length :]
    ensure(digest(binding.get("alg", claim.get("alg")), rest) == binding["hash"], "the file is not the one that was signed")
    return {
        "claim": claim,
        "created": [reference["url"].rsplit("/", 1)[1] for reference in claim["created_assertions"]],
        "assertions": assertions,
        "algorithm": header[ALGORITHM],
        "signer": chain[0].subject.rfc4514_string(),
        "place": (start, length),
    }
