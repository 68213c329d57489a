//! The fake alone, for tests in other languages (`.ci/bot`).

use crate::fake::{Fake, TOKEN};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until it is killed"]
async fn serve_the_fake() {
    let fake = Fake::start().await;
    println!("fake {} {TOKEN}", fake.url);
    std::future::pending::<()>().await;
}
