"""Signed manifests, as others read them: Encypher's verifier and a reader of our own (c2pa_by_hand.py), neither of which has
anything of the library that signs; that library's Python edition; and ExifTool, which shows and does not verify."""

import io
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import urllib.request
import zlib

import c2pa_by_hand
import encypher_c2pa
import pytest
from c2pa import Context, Reader
from conftest import BINARY, FORMATS, QUICK, VOCABULARY, b64, opened, pixels, refused, serving, variables
from cryptography import x509

TRAINED = VOCABULARY + "trainedAlgorithmicMedia"
COMPOSITE = VOCABULARY + "compositeWithTrainedAlgorithmicMedia"
# As COSE numbers them.
ALGORITHMS = {"es256": -7, "es384": -35, "es512": -36, "ps256": -37, "ps384": -38, "ps512": -39, "ed25519": -8}
HERE = pathlib.Path(__file__).parent


class Credentials:
    def __init__(self, folder: pathlib.Path, algorithm: str = "es256"):
        subprocess.run([HERE / "certificate.sh", folder, algorithm], check=True)
        self.chain, self.key, self.algorithm = folder / "chain.pem", folder / "key.pem", algorithm
        self.root_pem = (folder / "root.pem").read_text()
        self.root = x509.load_pem_x509_certificate(self.root_pem.encode())

    def settings(self, **others: str) -> dict[str, str]:
        ours = {"c2pa_certificates": self.chain, "c2pa_key": self.key, "c2pa_algorithm": self.algorithm}
        return {f"marking.{key}": str(value) for key, value in (ours | others).items()}


@pytest.fixture(scope="session")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="session")
def signed(credentials):
    with serving(credentials.settings()) as server:
        yield server


@pytest.fixture(scope="session")
def files(signed):
    """A picture in each format."""
    return {form: signed.draw(output_format=form) for form in FORMATS}


def library(file: bytes, form: str, root_pem: str | None = None) -> dict:
    """What the reference library says."""
    settings = {"trust": {"user_anchors": root_pem}} if root_pem else {}
    with Reader(f"image/{form}", io.BytesIO(file), context=Context.from_dict(settings)) as reader:
        return json.loads(reader.json())


def encypher(file: bytes, form: str, root_pem: str) -> dict:
    """What a verifier says that others wrote without that library."""
    trust = {"trust_pem": root_pem, "no_default_trust": True}
    return encypher_c2pa.verify(file, f"image/{form}", telemetry=False, online=False, **trust)


def failures(report: dict) -> list[str]:
    results = report["validation_results"]
    return [status["code"] for status in results.get("activeManifest", results)["failure"]]


def assert_signed(file: bytes, form: str, credentials: Credentials, mode: str = "text-to-image", source: str = TRAINED):
    held = c2pa_by_hand.read(file, form, credentials.root)
    assert held["algorithm"] == ALGORITHMS[credentials.algorithm]
    assert held["signer"] == "CN=A signer,O=Kandinsky's tests"
    claim, assertions = held["claim"], held["assertions"]
    generator = claim["claim_generator_info"]
    assert generator["name"] == "kandinsky" and re.fullmatch(r"\d+\.\d+\.\d+", generator["version"])
    assert claim["dc:title"] == mode
    # Actions that are not the signer's own word ("gathered") would say little.
    assert held["created"] == ["c2pa.actions.v2", "c2pa.hash.data"] and not claim.get("gathered_assertions")
    assert assertions["c2pa.actions.v2"]["actions"] == [{"action": "c2pa.created", "digitalSourceType": source}]

    report = encypher(file, form, credentials.root_pem)
    assert report["integrity"] == "valid" and report["trust"]["status"] == "valid_for_supplied_material", report
    assert not failures(report)

    report = library(file, form, credentials.root_pem)
    assert report["validation_state"] == "Trusted", report
    manifest = report["manifests"][report["active_manifest"]]
    assert manifest["claim_generator_info"][0]["name"] == "kandinsky"
    assert manifest["title"] == mode


@pytest.mark.parametrize("embed_metadata", [True, False])
@pytest.mark.parametrize("quality", [80, 100])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_signed(signed, marked, credentials, form, quality, embed_metadata):
    body = {"output_format": form, "output_quality": quality, "embed_metadata": embed_metadata}
    file, unsigned = signed.draw(**body), marked.draw(**body)
    assert_signed(file, form, credentials)
    assert opened(file).format == form.upper() and pixels(file) == pixels(unsigned)
    # The manifest stands beside what else the file says, and has nothing of the prompt.
    assert opened(file).getxmp() == opened(unsigned).getxmp() != {}
    assert (b"red heart" in file) == embed_metadata
    start, length = c2pa_by_hand.read(file, form, credentials.root)["place"]
    assert b"red heart" not in file[start : start + length]


@pytest.mark.parametrize("form", FORMATS)
def test_without_a_root_it_holds_but_is_nobodys(files, form):
    report = library(files[form], form)
    assert report["validation_state"] == "Valid" and failures(report) == ["signingCredential.untrusted"]


# Of WebP, only newer versions than Debian's look at the chunk.
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_exiftool_reads_it(files, form, tmp_path):
    path = tmp_path / f"picture.{form}"
    path.write_bytes(files[form])
    said = subprocess.run(["exiftool", "-j", "-G1", "-a", path], capture_output=True, text=True, check=True)
    tags = json.loads(said.stdout)[0]
    assert TRAINED in str(tags.get("CBOR:ActionsDigitalSourceType")), tags
    assert tags["CBOR:Claim_Generator_InfoName"] == "kandinsky"


def change(file: bytes, form: str) -> bytes:
    """The file with one bit of the pixels' data changed, and still a file of its kind."""
    changed = bytearray(file)
    if form == "png":
        at = file.index(b"IDAT")
        (length,) = struct.unpack_from(">I", file, at - 4)
        changed[at + 4 + length // 2] ^= 1
        struct.pack_into(">I", changed, at + 4 + length, zlib.crc32(changed[at : at + 4 + length]))
    elif form == "jpeg":
        changed[(file.rindex(b"\xff\xda") + len(file)) // 2] ^= 1
    else:
        at = file.index(b"VP8 ") if b"VP8 " in file else file.index(b"VP8L")
        changed[at + 8 + struct.unpack_from("<I", file, at + 4)[0] // 2] ^= 1
    assert len(changed) == len(file) and changed != file
    return bytes(changed)


@pytest.mark.parametrize("form", FORMATS)
def test_a_changed_image_does_not_hold(files, credentials, form):
    bent = change(files[form], form)
    with pytest.raises(c2pa_by_hand.Broken, match="the file is not the one that was signed"):
        c2pa_by_hand.read(bent, form, credentials.root)
    for report in (library(bent, form, credentials.root_pem), encypher(bent, form, credentials.root_pem)):
        assert report["validation_state"] == "Invalid" and failures(report) == ["assertion.dataHash.mismatch"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "old, new, by_hand, code",
    [
        (b"trainedAlgorithmicMedia", b"digitalCapture\0\0\0\0\0\0\0\0\0", "is another one", "assertion.hashedURI.mismatch"),
        (b"text-to-image", b"photo-of-mine", "signature is not its signer's", "claimSignature.mismatch"),
    ],
)
def test_a_changed_statement_does_not_hold(files, credentials, form, old, new, by_hand, code):
    start, length = c2pa_by_hand.read(files[form], form, credentials.root)["place"]
    manifest = files[form][start : start + length]
    assert manifest.count(old) == 1
    changed = bytearray(files[form].replace(manifest, manifest.replace(old, new)))
    if form == "png":
        struct.pack_into(">I", changed, start + length - 4, zlib.crc32(changed[start + 4 : start + length - 4]))
    with pytest.raises(c2pa_by_hand.Broken, match=by_hand):
        c2pa_by_hand.read(bytes(changed), form, credentials.root)
    for verify in (library, encypher):
        report = verify(bytes(changed), form, credentials.root_pem)
        assert report["validation_state"] == "Invalid" and code in failures(report)


def test_another_authority_is_not_this_one(files, tmp_path):
    other = Credentials(tmp_path)
    with pytest.raises(c2pa_by_hand.Broken, match="a certificate is not its issuer's"):
        c2pa_by_hand.read(files["png"], "png", other.root)


def test_modes_that_go_on_from_an_image_say_so(signed, credentials, files):
    image = b64(files["png"])
    ours = {
        "image-to-image": ({"image": image, "strength": 0.7}, COMPOSITE),
        "outpainting": ({"image": image, "expand": {"right": 16}}, COMPOSITE),
        "image-variations": ({"image": image, "prompt": None}, TRAINED),
    }
    for mode, (body, source) in ours.items():
        assert_signed(signed.draw(mode, **body), "png", credentials, mode, source)


def test_an_image_written_anew_is_signed_anew(signed, credentials):
    def draw(form: str) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": f"image/{form}", "Idempotency-Key": "anew"}
        request = urllib.request.Request(f"{signed.url}/v1/text-to-image", json.dumps(QUICK).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert answer.headers["Content-Type"] == f"image/{form}"
            return answer.read()

    for form in FORMATS:
        assert_signed(draw(form), form, credentials)


def test_kept_images_are_signed_and_thumbnails_are_not(signed, credentials):
    answer = json.loads(signed.ask("/v1/text-to-image", QUICK))
    picture = f"/v1/jobs/{answer['id']}/images/0"
    assert_signed(signed.ask(picture), "png", credentials)
    with pytest.raises(c2pa_by_hand.Broken, match="0 chunks caBX"):
        c2pa_by_hand.read(signed.ask(picture + "?width=16"), "png", credentials.root)


def test_the_log_tells_once_that_images_are_signed(signed, files):
    assert files
    said = [line for line in signed.said().splitlines() if "pictures are signed" in line or "c2pa::" in line]
    assert len(said) == 1 and said[0].endswith("pictures are signed signer=ManifestSigner { algorithm: Es256, .. }"), said


def test_a_file_with_nothing_but_pixels_is_signed(credentials):
    with serving(credentials.settings(xmp="false")) as server:
        for form in FORMATS:
            assert_signed(server.draw(output_format=form, embed_metadata=False), form, credentials)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_command_line_signs_with_every_algorithm(algorithm, tmp_path):
    credentials = Credentials(tmp_path / "credentials", algorithm)
    flags = ["--prompt", QUICK["prompt"], "--seed", "7", "--steps", "3", "--prior-steps", "2"]
    for form in FORMATS:
        out = tmp_path / f"picture.{form}"
        command = [BINARY, "generate", "text-to-image", *flags, "--out", out]
        subprocess.run(command, env={**os.environ, **variables(credentials.settings())}, check=True, capture_output=True)
        assert_signed(out.read_bytes(), form, credentials)


@pytest.mark.parametrize("flags", [[], ["--check"]])
def test_what_cannot_sign_does_not_start(credentials, tmp_path, flags):
    other, curve = Credentials(tmp_path / "other"), Credentials(tmp_path / "curve", "es384")
    first, *above = re.findall(r"-----BEGIN.+?-----END.+?-----\n", credentials.chain.read_text(), re.DOTALL)
    turned = tmp_path / "turned"
    turned.write_text("".join([*above, first]))
    encrypted, sec1, certificate = (tmp_path / name for name in ("encrypted", "sec1", "certificate"))
    openssl = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True)
    openssl("pkcs8", "-topk8", "-in", credentials.key, "-passout", "pass:abc", "-out", encrypted)
    openssl("ec", "-in", credentials.key, "-out", sec1)
    shutil.copy(tmp_path / "other" / "root.pem", certificate)
    both = tmp_path / "both"
    both.write_text(credentials.chain.read_text() + credentials.key.read_text())
    empty = tmp_path / "empty"
    empty.write_text("")
    for key, value in [
        ("c2pa_certificates", ""),
        ("c2pa_certificates", tmp_path / "missing"),
        ("c2pa_certificates", empty),
        ("c2pa_certificates", credentials.key),
        ("c2pa_certificates", other.chain),
        ("c2pa_certificates", certificate),
        ("c2pa_certificates", both),
        ("c2pa_certificates", turned),
        ("c2pa_key", ""),
        ("c2pa_key", tmp_path / "missing"),
        ("c2pa_key", empty),
        ("c2pa_key", credentials.chain),
        ("c2pa_key", curve.key),
        ("c2pa_key", encrypted),
        ("c2pa_key", sec1),
        ("c2pa_algorithm", "rs256"),
    ]:
        said = refused(credentials.settings(**{key: value}), *flags)
        assert f"marking.{key}: " in said, (key, value, said)
        secret = "".join(credentials.key.read_text().splitlines()[1:-1])
        assert not any(secret[i : i + 12] in said for i in range(len(secret) - 12))
