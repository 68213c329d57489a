"""aiogram reads all that the fake answers, and knows all that the fake takes."""

import asyncio
from types import SimpleNamespace

import aiogram.methods
import fake
import pytest
import scenario
from aiogram import Bot, exceptions, types
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer


def test_all_fields_are_known():
    for name, fields in fake.fields().items():
        known = getattr(aiogram.methods, name[0].upper() + name[1:]).model_fields
        for field in fields:
            assert field["name"] in known, (name, field)
            # The fake may ask for more: a text is optional where newer kinds of messages are sent, and the bot sends none.
            assert field["required"] or not known[field["name"]].is_required(), (name, field)


def test_all_answers_are_read():
    asyncio.run(play())


async def download(bot, file_id):
    return (await bot.download(file_id)).read()


LIBRARY = SimpleNamespace(**{
    **vars(types),
    "file": lambda content: types.BufferedInputFile(content, "a.png"),
    "force_reply": lambda: types.ForceReply(force_reply=True, selective=True),
    "download": download,
    "seconds": int,
    "BadRequest": exceptions.TelegramBadRequest,
    "RetryAfter": exceptions.TelegramRetryAfter,
    "Forbidden": exceptions.TelegramForbiddenError,
    "Conflict": exceptions.TelegramConflictError,
})


def session():
    session = AiohttpSession(api=TelegramAPIServer.from_base(fake.URL))
    # A connection for each call: a server may close one whose request it refused before it had read all of it.
    session._connector_init["force_close"] = True
    return session


async def play():
    async with Bot(fake.TOKEN, session=session()) as bot:
        await scenario.play(bot, LIBRARY, 3001, -100_300)
    async with Bot("1:wrong", session=session()) as bot:
        with pytest.raises(exceptions.TelegramUnauthorizedError):
            await bot.get_me()
