"""The running fake of the Bot API, played by users from here: `FAKE_URL` and `FAKE_TOKEN` say where it is."""

import base64
import json
import os
import pathlib
import urllib.request

URL, TOKEN = os.environ["FAKE_URL"], os.environ["FAKE_TOKEN"]
PICTURE = (pathlib.Path(__file__).parents[2] / "goldens" / "text_english.png").read_bytes()


def act(action, **fields):
    """Do something as a user, or look."""
    request = urllib.request.Request(
        f"{URL}/control/{action}", json.dumps(fields).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def photo():
    return base64.b64encode(PICTURE).decode()


def fields():
    """The table of methods: name to fields."""
    return {method["name"]: method["fields"] for method in act("fields")}
