//! PostgreSQL to test on: the server that `KANDINSKY_TEST_POSTGRES_URL` names, a schema for each test.

use std::future::Future;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Once;

use futures_util::FutureExt;
use kandinsky::store;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::harness::{Store, runtime};

const URL: &str = "KANDINSKY_TEST_POSTGRES_URL";

/// In a schema of its own.
#[expect(clippy::explicit_write, reason = "eprintln! would go to the test harness, which hides what passing tests say")]
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    static SAID: Once = Once::new();
    let Ok(url) = std::env::var(URL) else {
        SAID.call_once(|| writeln!(std::io::stderr(), "SKIPPED: the PostgreSQL half ({URL} is not set)").unwrap());
        return;
    };
    runtime().block_on(async {
        let schema = format!("test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&url).await.unwrap();
        let statement = |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        admin.execute(statement(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        let separator = if url.contains('?') { '&' } else { '?' };
        let own = format!("{url}{separator}options=-c%20search_path%3D{schema}");
        let store = store::open_postgres(&own.into(), 8).await.unwrap();
        let result = AssertUnwindSafe(test(store)).catch_unwind().await;
        admin.execute(statement(format!("DROP SCHEMA {schema} CASCADE"))).await.unwrap();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}
