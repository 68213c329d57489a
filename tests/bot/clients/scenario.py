"""What a bot does, in the words that both libraries have in common: the names of the Bot API's methods, fields and types."""

import fake
import pytest

KINDS = ["message", "callback_query", "inline_query", "chosen_inline_result"]


async def play(bot, library, user, group):
    """Play all that the bot under test does, and read all answers. `library` has the types and errors of the library."""
    fake.act("user", id=user, language="ru")
    fake.act("group", id=group)
    keyboard = library.InlineKeyboardMarkup(
        inline_keyboard=[[library.InlineKeyboardButton(text="Go", callback_data="go:1")]]
    )

    def media(caption=None, **options):
        return library.InputMediaPhoto(media=library.file(fake.PICTURE), caption=caption, **options)

    me = await bot.get_me()
    assert me.username == "kandinsky_test_bot" and me.supports_inline_queries
    await bot.delete_webhook(drop_pending_updates=True)
    commands = [library.BotCommand(command="draw", description="draw a text")]
    assert await bot.set_my_commands(commands=commands, language_code="ru")
    assert await bot.set_my_description(description="I draw")
    offset = 0

    async def updates(count):
        nonlocal offset
        found = []
        while len(found) < count:
            found += await bot.get_updates(offset=offset, timeout=5, allowed_updates=KINDS)
            offset = found[-1].update_id + 1
        assert len(found) == count
        return found

    await bot.get_updates(timeout=0, allowed_updates=KINDS)
    fake.act("post", user=user, chat=user, text="/draw red heart")
    message = (await updates(1))[0].message
    assert message.text == "/draw red heart" and message.from_user.language_code == "ru"
    assert message.entities[0].type == "bot_command" and message.chat.type == "private"
    reaction = [library.ReactionTypeEmoji(emoji="👀")]
    assert await bot.set_message_reaction(chat_id=user, message_id=message.message_id, reaction=reaction)
    assert await bot.send_chat_action(chat_id=user, action="upload_photo")

    sent = await bot.send_message(
        chat_id=user,
        text="in line",
        reply_markup=keyboard,
        reply_parameters=library.ReplyParameters(message_id=message.message_id, allow_sending_without_reply=True),
        link_preview_options=library.LinkPreviewOptions(is_disabled=True),
    )
    assert sent.reply_to_message.text == message.text and sent.from_user.is_bot
    place = {"chat_id": user, "message_id": sent.message_id}
    edited = await bot.edit_message_text(text="drawing", reply_markup=keyboard, **place)
    assert edited.text == "drawing" and edited.edit_date
    with pytest.raises(library.BadRequest, match="not modified"):
        await bot.edit_message_text(text="drawing", reply_markup=keyboard, **place)
    shown = await bot.edit_message_media(media=media("half", has_spoiler=True), reply_markup=keyboard, **place)
    assert shown.photo[-1].width == 64 and shown.caption == "half" and shown.has_media_spoiler
    assert (await bot.edit_message_caption(caption="done", reply_markup=keyboard, **place)).caption == "done"
    with pytest.raises(library.BadRequest, match="no text in the message"):
        await bot.edit_message_text(text="x", **place)

    fake.act("press", user=user, chat=user, message=sent.message_id, button="Go")
    query = (await updates(1))[0].callback_query
    assert query.data == "go:1" and query.message.message_id == sent.message_id and query.from_user.id == user
    assert await bot.answer_callback_query(callback_query_id=query.id, text="working", show_alert=True)
    with pytest.raises(library.BadRequest, match="(?i)query is too old"):
        await bot.answer_callback_query(callback_query_id=query.id)
    await bot.edit_message_reply_markup(**place)

    fake.act("post", user=user, chat=user, photo=fake.photo(), caption="winter", reply_to=sent.message_id)
    photo = (await updates(1))[0].message
    assert photo.caption == "winter" and photo.reply_to_message.message_id == sent.message_id
    assert await library.download(bot, photo.photo[-1].file_id) == fake.PICTURE
    for _ in range(2):
        fake.act("post", user=user, chat=user, photo=fake.photo(), album="7")
    assert {update.message.media_group_id for update in await updates(2)} == {"7"}

    album = await bot.send_media_group(chat_id=user, media=[media("two"), media()])
    assert len({item.media_group_id for item in album}) == 1 and album[0].caption == "two"
    document = await bot.send_document(
        chat_id=user, document=library.file(fake.PICTURE), disable_content_type_detection=True
    )
    assert document.document.file_size == len(fake.PICTURE)
    stored = await bot.send_photo(chat_id=group, photo=library.file(fake.PICTURE), disable_notification=True)
    assert stored.chat.type == "supergroup"
    await bot.send_message(chat_id=user, text="reply to me", reply_markup=library.force_reply())
    assert await bot.delete_message(chat_id=user, message_id=document.message_id)
    assert (await bot.get_chat_member(chat_id=group, user_id=user)).status == "member"

    fake.act("inline", user=user, text="red heart")
    inline = (await updates(1))[0].inline_query
    results = [
        library.InlineQueryResultArticle(
            id="draw",
            title="Draw",
            input_message_content=library.InputTextMessageContent(message_text="wait"),
            reply_markup=keyboard,
        ),
        library.InlineQueryResultCachedPhoto(id="photo0", photo_file_id=stored.photo[-1].file_id),
    ]
    assert await bot.answer_inline_query(inline_query_id=inline.id, results=results, cache_time=0, is_personal=True)
    fake.act("choose", user=user, query=inline.id, result="draw", text="red heart")
    chosen = (await updates(1))[0].chosen_inline_result
    assert chosen.query == "red heart" and chosen.inline_message_id
    place = {"inline_message_id": chosen.inline_message_id}
    done = library.InputMediaPhoto(media=stored.photo[-1].file_id, caption="done")
    assert await bot.edit_message_media(media=done, reply_markup=keyboard, **place)
    with pytest.raises(library.BadRequest, match="upload"):
        await bot.edit_message_media(media=media(), **place)

    fake.act("flood", method="sendMessage", seconds=7)
    with pytest.raises(library.RetryAfter) as flood:
        await bot.send_message(chat_id=user, text="x")
    assert library.seconds(flood.value.retry_after) == 7
    fake.act("block", user=user)
    with pytest.raises(library.Forbidden, match="blocked"):
        await bot.send_message(chat_id=user, text="x")
    assert await bot.set_webhook(url="https://example.org/hook", secret_token="abc_1", allowed_updates=KINDS)
    with pytest.raises(library.Conflict):
        await bot.get_updates()
    assert await bot.delete_webhook()
