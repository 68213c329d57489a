//! The Telegram bot (`kandinsky bot`).

use std::path::PathBuf;

use secrecy::SecretString;

use crate::config::listen::ListenAddress;
use crate::config::readers;
use crate::config::rules::{self, Rule};
use crate::config::section::section;

section! {
    /// The Telegram bot, `kandinsky bot` (docs/bot.md): a client of a running server. The server itself ignores this.
    struct Bot in "bot" {
        /// Address of the server. (--server)
        server: String as readers::base_url = "http://127.0.0.1:8080", Rule::Text(rules::http_url);
        /// The bot's API key, if the server needs one. (--key, KANDINSKY_KEY)
        key: SecretString as readers::secret = "", Rule::Secret(rules::any);
        /// The token that @BotFather gave the bot.
        token: SecretString as readers::secret = "", Rule::Secret(rules::bot_token);
        /// A file with the token, such as a mounted secret; instead of bot.token. (--token-file)
        token_file: Option<PathBuf> as readers::optional_path = "", Rule::Text(rules::any);
        /// Folder of the bot's own file: chats' settings, and answers under way. (--data)
        data: PathBuf = "./data", Rule::Text(rules::not_empty);
        /// Ids of users and of chats that may use the bot, each a text, as in "12345". Empty: all may.
        allowed: Vec<i64> as readers::list = Vec::<String>::new(), Rule::List(rules::whole_number);
        /// Images of one user that are made at once.
        concurrency: usize = 1, Rule::Whole(1..=100);
        /// Requests of one user that may wait for these; further ones are refused.
        waiting: usize = 4, Rule::Whole(0..=100);
        /// Images of one user a day (UTC). 0: no limit.
        daily_images: u32 = 0, Rule::Whole(0..=1_000_000);
        /// Images that "Variations" gives.
        variations: u32 = 4, Rule::Whole(1..=10);
        /// Decoder steps. 0: the server's default.
        steps: u32 = 0, Rule::Whole(0..=1000);
        /// Pause between two edits of a message that shows progress, s; in groups Telegram allows fewer.
        edit_pause_s: f64 = 4.0, Rule::Number(0.05..=60.0);
        /// The same in groups, s.
        group_edit_pause_s: f64 = 10.0, Rule::Number(0.05..=60.0);
        /// Id of a chat where the bot may leave images of inline mode (`@bot prompt` in any chat), which needs one. 0: no inline
        /// mode.
        storage_chat: i64 = 0, Rule::Whole(-99_999_999_999_999..=99_999_999_999_999);
        /// Address of the server's page as users reach it, which the bot names for repainting. Empty: it names none.
        editor_url: String = "", Rule::Text(rules::optional_http_url);
        /// Address of the Bot API; a local Bot API server has another.
        api_root: String as readers::base_url = "https://api.telegram.org", Rule::Text(rules::http_url);
        /// Address at which Telegram calls the bot (HTTPS). Empty: the bot asks for updates itself, which works behind any
        /// router.
        webhook_url: String = "", Rule::Text(rules::optional_http_url);
        /// Where the bot listens for these calls.
        webhook_listen: ListenAddress = "127.0.0.1:8081", Rule::Text(rules::parses::<ListenAddress>);
        /// What Telegram shows with each of these calls: 16 to 256 letters, digits, - and _.
        webhook_secret: SecretString as readers::secret = "", Rule::Secret(rules::bot_webhook_secret);
    }
}
