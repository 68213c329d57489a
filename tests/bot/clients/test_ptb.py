"""python-telegram-bot reads all that the fake answers, and knows all that the fake takes."""

import asyncio
import inspect
import re
from types import SimpleNamespace

import fake
import pytest
import scenario
import telegram
from telegram import Bot, error


def test_all_fields_are_known():
    for name, fields in fake.fields().items():
        snake = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
        known = inspect.signature(getattr(Bot, snake)).parameters
        assert {field["name"] for field in fields} <= set(known), name


def test_all_answers_are_read():
    asyncio.run(play())


async def download(bot, file_id):
    return bytes(await (await bot.get_file(file_id)).download_as_bytearray())


LIBRARY = SimpleNamespace(**{
    **vars(telegram),
    "file": lambda content: content,
    "force_reply": lambda: telegram.ForceReply(selective=True),
    "download": download,
    "seconds": lambda time: int(getattr(time, "total_seconds", lambda: time)()),
    "BadRequest": error.BadRequest,
    "RetryAfter": error.RetryAfter,
    "Forbidden": error.Forbidden,
    "Conflict": error.Conflict,
})


async def play():
    async with Bot(fake.TOKEN, base_url=f"{fake.URL}/bot", base_file_url=f"{fake.URL}/file/bot") as bot:
        await scenario.play(bot, LIBRARY, 2001, -100_200)
    with pytest.raises(error.InvalidToken):
        await Bot("1:wrong", base_url=f"{fake.URL}/bot").get_me()
