"""The page: its files and nothing else, with types that browsers trust."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import serving
from digitnet.serving import service_settings
from digitnet.serving.service_settings import built_page, shipped_page

FILES = {
    "index.html": "text/html; charset=utf-8",
    "app/main.js": "text/javascript; charset=utf-8",
    "app/ort.mjs": "text/javascript; charset=utf-8",
    "app/style.css": "text/css; charset=utf-8",
    "ort/engine.wasm": "application/wasm",
    "model.onnx": "application/octet-stream",
    "icon.svg": "image/svg+xml",
    "manifest.webmanifest": "application/manifest+json",
    "odd.xyz": "application/octet-stream",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    for name in FILES:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(f"the content of {name}".encode())
    (place / "ort" / "engine.wasm").write_bytes(bytes(range(256)) * 4000)
    secret = place.parent / "secret.txt"
    secret.write_text("secret")
    (place / "link.txt").symlink_to(secret)
    (place / "out").symlink_to(place.parent)
    (place / ".hidden").write_text("secret")
    return place


@pytest.fixture(scope="module")
def call(folder: Path) -> Iterator[serving.Caller]:
    with serving.calling(page=folder) as caller:
        yield caller


@pytest.mark.parametrize("name", FILES)
def test_each_file_has_its_content_type_and_tag(
    call: serving.Caller, folder: Path, name: str
) -> None:
    answer = call.get(f"/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, FILES[name])
    assert answer.content == (folder / name).read_bytes()
    assert answer.headers["cache-control"] == "no-cache"
    again = call.get(f"/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    head = call("HEAD", f"/{name}")
    assert (head.headers["content-length"], head.content) == (str(len(answer.content)), b"")


def test_the_first_page_is_at_the_root_of_its_folder(call: serving.Caller) -> None:
    assert call.get("/").content == call.get("/index.html").content


def test_a_changed_file_is_sent_again(call: serving.Caller, folder: Path) -> None:
    old = call.get("/app/main.js").headers["etag"]
    (folder / "app" / "main.js").write_text("changed, and longer than before it was")
    answer = call.get("/app/main.js", headers={"if-none-match": old})
    assert (answer.status_code, answer.text[:7]) == (200, "changed")
    (folder / "odd.xyz").unlink()
    assert call.get("/odd.xyz").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/app/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/app/%00",
        "/link.txt",
        "/out/secret.txt",
        "/.hidden",
        "/app",
        "/app/",
        "/index.html/",
        "/nothing.js",
    ],
)
def test_no_path_leads_out_of_the_folder_and_no_link_is_followed(folder: Path, path: str) -> None:
    with serving.live(page=folder) as service, service.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status, headers, body = serving.answered(connection)
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert b"secret\n" not in body


def test_other_methods_and_ranges_are_not_taken(call: serving.Caller) -> None:
    assert call.post("/index.html").status_code == 404
    ranges = "bytes=" + ",".join("0-1" for _ in range(1000))
    answer = call.get("/ort/engine.wasm", headers={"range": ranges})
    assert (answer.status_code, len(answer.content)) == (200, 1_024_000)


def test_without_a_page_the_documents_come_first() -> None:
    with serving.calling() as call:
        answer = call.get("/")
        assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_page_of_the_package_is_served_by_default() -> None:
    page = shipped_page()
    if page is None:
        pytest.skip("this copy of digitnet has no page")
    with serving.calling(page=page) as call:
        assert call.get("/").headers["content-type"] == "text/html; charset=utf-8"


def test_a_page_built_of_the_same_files_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, built = tmp_path / "src" / "digitnet", tmp_path / "build" / "page"
    monkeypatch.setattr(service_settings, "_package", lambda: package)
    files = {
        "static/reader/a.js": "reader/a.js",
        "assets/digitnet.onnx": "model/digitnet.onnx",
        "assets/lines.onnx": "model/lines.onnx",
    }
    for here, there in files.items():
        for path in (package / here, built / there):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(here)
    assert built_page() == built
    for there in files.values():
        (built / there).write_text("of another version")
        assert built_page() is None
        (built / there).write_text(next(here for here in files if files[here] == there))
    (built / "reader" / "a.js").unlink()
    assert built_page() is None
