//! AUTOMATIC1111's API, called as the programs that speak it call it: `SillyTavern`, Open WebUI, `LibreChat`, webuiapi.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kandinsky::domain::{Image, Limits, SizePolicy};
use kandinsky::imaging;
use kandinsky::records::{KeyLimits, Scope};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

use crate::app::{Setup, TestApp, base64, eventually, golden, merged};
use crate::embedded::{DECODE, limits};

/// The images of an answer.
fn images(answer: &Json) -> Vec<Image> {
    let files = answer["images"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    let bytes = files.map(|file| STANDARD.decode(file.as_str().unwrap()).unwrap());
    bytes.map(|bytes| imaging::decode(&bytes, &DECODE).unwrap()).collect()
}

/// What an answer tells of its images, as clients parse it.
fn info(answer: &Json) -> Json {
    serde_json::from_str(answer["info"].as_str().unwrap()).unwrap()
}

fn warnings(answer: &Json) -> String {
    info(answer)["warnings"].to_string()
}

/// A request of few steps, with `more` fields.
fn quick(more: &Json) -> Json {
    merged(json!({"prompt": "red heart", "steps": 3, "seed": 5, "prior": {"steps": 2}}), more)
}

async fn made(app: &TestApp, call: &str, body: &Json) -> Json {
    let response = app.post(&format!("/sdapi/v1/{call}"), body).await;
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{text:.500}");
    serde_json::from_str(&text).unwrap()
}

async fn native(app: &TestApp, mode: &str, body: &Json) -> Image {
    let answer: Json = app.post(&format!("/v1/{mode}"), body).await.json().await.unwrap();
    let file = answer["images"][0]["b64_json"].as_str().unwrap_or_else(|| panic!("{answer}"));
    imaging::decode(&STANDARD.decode(file).unwrap(), &DECODE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sillytaverns_extension_connects_chooses_and_draws() {
    let app = TestApp::start().await;
    // What its server asks when it is connected; without a password it sends the empty one.
    let get = async |path: &str| -> Json {
        // (Open WebUI's has no value at all.)
        let bare = app.client.get(app.url(path)).header("authorization", "").send().await.unwrap();
        assert_eq!(bare.status(), StatusCode::OK, "{path}");
        let request = app.client.get(app.url(path)).basic_auth("", Some(""));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    };
    let options = get("/sdapi/v1/options").await;
    assert_eq!(options["sd_model_checkpoint"], "kandinsky-mini");
    assert!(options.get("forge_preset").is_none(), "it takes such a server for another program");
    assert_eq!(get("/sdapi/v1/upscalers").await[0]["name"], "None");
    for list in ["latent-upscale-modes", "sd-vae", "sd-modules"] {
        assert!(get(&format!("/sdapi/v1/{list}")).await.is_array(), "{list}");
    }
    assert_eq!(get("/sdapi/v1/sd-models").await[0]["title"], "kandinsky-mini");
    let names = |list: Json| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let samplers = names(get("/sdapi/v1/samplers").await);
    for sampler in ["DDIM", "Euler a", "Euler", "DPM++ 2M", "DPM++ 2M Karras", "UniPC"] {
        assert!(samplers.iter().any(|name| name == sampler), "{sampler}");
    }
    assert!(names(get("/sdapi/v1/schedulers").await).contains(&"karras".to_owned()));
    let set = app.post("/sdapi/v1/options", &json!({"sd_model_checkpoint": "kandinsky-mini"})).await;
    assert_eq!(set.status(), StatusCode::OK);
    let progress = get("/sdapi/v1/progress").await;
    assert_eq!((&progress["progress"], &progress["state"]["job_count"]), (&json!(0.0), &json!(0)), "it waits for that");

    let body = json!({
        "url": app.url(""), "auth": "somebody:very secret", "prompt": "red heart", "negative_prompt": "green",
        "sampler_name": "DDIM", "scheduler": "normal", "steps": 4, "cfg_scale": 7, "width": 64, "height": 96,
        "restore_faces": false, "enable_hr": false, "hr_upscaler": "Latent", "hr_scale": 2,
        "hr_additional_modules": [], "denoising_strength": 0.7, "hr_second_pass_steps": 0,
        "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "Automatic"},
        "override_settings_restore_afterwards": true, "clip_skip": 1, "save_images": true, "send_images": true,
        "do_not_save_grid": false, "do_not_save_samples": false,
    });
    let response = app.client.post(app.url("/sdapi/v1/txt2img")).basic_auth("", Some("")).json(&body);
    let text = response.send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("very secret"), "its password goes nowhere");
    let answer: Json = serde_json::from_str(&text).unwrap();
    let [image] = &images(&answer)[..] else { panic!("{answer}") };
    assert_eq!((image.width(), image.height()), (64, 96));
    assert_eq!(warnings(&answer), "[]", "nothing was asked that was not done");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_webui_sets_its_model_and_draws_several() {
    let app = TestApp::start().await;
    let mut options = app.json("/sdapi/v1/options").await;
    let models = app.json("/sdapi/v1/sd-models").await;
    assert_eq!(models[0]["title"], options["sd_model_checkpoint"], "or it would set the model again and again");
    // It sends all settings back.
    options["sd_model_checkpoint"] = models[0]["title"].clone();
    let set: Json = app.post("/sdapi/v1/options", &options).await.json().await.unwrap();
    assert_eq!(set["warnings"], json!([]));
    options["sd_model_checkpoint"] = json!("sd_xl_base_1.0.safetensors");
    let refused = app.post("/sdapi/v1/options", &options).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused: Json = refused.json().await.unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("kandinsky-mini"), "{refused}");

    let body = json!({"prompt": "red heart", "batch_size": 2, "width": 64, "height": 64, "steps": 3, "negative_prompt": "green"});
    let answer = made(&app, "txt2img", &body).await;
    assert_eq!(images(&answer).len(), 2);
    let info = info(&answer);
    let seed = info["seed"].as_u64().unwrap();
    assert_eq!(info["all_seeds"], json!([seed, seed + 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn librechats_tool_reads_the_text_about_its_image() {
    let app = TestApp::start().await;
    let body = json!({
        "prompt": "red heart,\nblue background", "negative_prompt": "green", "cfg_scale": 4.5, "steps": 4, "width": 96, "height": 64,
    });
    let answer = made(&app, "txt2img", &body).await;
    let info = info(&answer);
    assert_eq!((&info["width"], &info["height"]), (&json!(96), &json!(64)));
    let text = info["infotexts"][0].as_str().unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[..2], ["red heart, blue background", "Negative prompt: green"]);
    let last = lines[2];
    let seed = format!("Seed: {}", info["seed"]);
    for part in ["Steps: 4", "CFG scale: 4.5", "Size: 96x64", "Model: kandinsky-mini", &seed] {
        assert!(last.contains(part), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_the_native_one_that_it_stands_for() {
    let app = TestApp::start().await;
    let few = json!({"prompt": "(red:1.5) heart", "steps": 3, "prior": {"steps": 2}, "width": 96, "height": 64});
    let ours = merged(
        few.clone(),
        &json!({
            "sampler_name": "DPM++ 2M", "scheduler": "Karras", "cfg_scale": 3.0, "seed": 7, "negative_prompt": "green",
            "styles": ["pixel-art"], "override_settings": {"sd_model_checkpoint": "kandinsky-mini"},
        }),
    );
    let theirs = merged(
        few,
        &json!({
            "scheduler": "dpmpp_2m_karras", "guidance_scale": 3.0, "seed": 7, "negative_prompt": "green", "style": "pixel-art",
            "prompt_syntax": "weights",
        }),
    );
    let answer = made(&app, "txt2img", &ours).await;
    assert!(images(&answer) == [native(&app, "text-to-image", &theirs).await]);
    let info = info(&answer);
    assert_eq!((&info["sampler_name"], &info["scheduler"]), (&json!("DPM++ 2M Karras"), &json!("Karras")));
    assert_eq!(info["prompt"], "(red:1.5) heart, pixel art");

    let several = made(&app, "txt2img", &quick(&json!({"batch_size": 2, "n_iter": 2, "send_images": false}))).await;
    assert_eq!(several["images"], json!([]));
    let all = serde_json::from_str::<Json>(several["info"].as_str().unwrap()).unwrap();
    assert_eq!(all["all_seeds"], json!([5, 6, 7, 8]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_redrawn_and_a_part_of_it_repainted() {
    let app = TestApp::start().await;
    let heart = base64(&golden("text_english.png"));
    let url = format!("data:image/png;base64,{heart}");
    let redrawn = made(&app, "img2img", &quick(&json!({"init_images": [url], "denoising_strength": 0.6}))).await;
    let native_body = quick(&json!({"image": heart, "strength": 0.6}));
    assert!(images(&redrawn) == [native(&app, "image-to-image", &native_body).await]);

    // White is repainted: the right half.
    let original = imaging::decode(&golden("text_english.png"), &DECODE).unwrap();
    let half = |left: u8, right: u8| {
        let row = [[left; 32], [right; 32]].concat();
        Image::gray(64, 64, row.repeat(64))
    };
    let png = |image: &Image| base64(&imaging::to_png(image).unwrap());
    let kept_columns = |image: &Image| -> Vec<u32> {
        let is_kept = |x: &u32| (0..64).all(|y| image.pixel(*x, y) == original.pixel(*x, y));
        (0..64).filter(is_kept).collect()
    };
    let left: Vec<u32> = (0..32).collect();
    for (mask, more, kept) in [
        (png(&half(0, 255)), json!({"mask_blur": 0}), &left[..]),
        (png(&half(255, 0)), json!({"inpainting_mask_invert": 1, "mask_blur": 0}), &left[..]),
        // The size of the request is that at which the region is worked on; the image keeps its own.
        (png(&half(0, 255)), json!({"width": 96, "height": 96, "inpaint_full_res": true}), &left[..]),
    ] {
        let body = merged(quick(&json!({"init_images": [heart], "mask": mask, "denoising_strength": 1})), &more);
        let answer = made(&app, "img2img", &body).await;
        let [image] = &images(&answer)[..] else { panic!("{answer}") };
        assert_eq!((image.width(), image.height()), (64, 64), "{more}");
        assert_eq!(&kept_columns(image)[..32], kept, "{more}");
        assert!(kept_columns(image).len() < 40, "{more}: the rest is new");
    }
    let body = quick(&json!({"init_images": [heart], "mask": png(&half(0, 255)), "denoising_strength": 0.5}));
    assert!(warnings(&made(&app, "img2img", &body).await).contains("painted anew"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_clients_cannot_change_are_drawn_and_enlarged() {
    let limits = Limits { size_policy: SizePolicy::Fit, max_side: 1024, ..limits() };
    let app = TestApp::with(Setup { limits, ..Setup::default() }).await;
    // LibreChat's size, and twice that of a request.
    let large = made(&app, "txt2img", &quick(&json!({"width": 1024, "height": 1024}))).await;
    assert_eq!((images(&large)[0].width(), info(&large)["width"].as_u64()), (1024, Some(1024)));
    assert!(warnings(&large).contains("64x64"), "{}", warnings(&large));
    let hires = json!({"width": 96, "height": 64, "enable_hr": true, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7});
    let hires = made(&app, "txt2img", &quick(&hires)).await;
    assert_eq!((images(&hires)[0].width(), images(&hires)[0].height()), (192, 128));
    let drawn = images(&made(&app, "txt2img", &quick(&json!({"width": 96, "height": 64}))).await).remove(0);
    let [enlarged] = &images(&hires)[..] else { panic!("{hires}") };
    assert!(*enlarged == imaging::resize(&drawn, enlarged.size()), "what is drawn at the size of the request");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_another_image_is_refused_by_its_name() {
    let app = TestApp::start().await;
    let heart = base64(&golden("text_english.png"));
    for (call, body, field) in [
        ("txt2img", json!({"sampler_name": "DPM++ SDE Karras"}), "sampler_name"),
        ("txt2img", json!({"sampler_name": "Euler a", "scheduler": "Exponential"}), "scheduler"),
        ("txt2img", json!({"script_name": "X/Y/Z plot"}), "script_name"),
        (
            "txt2img",
            json!({"alwayson_scripts": {"ControlNet": {"args": [{"module": "canny", "image": heart}]}}}),
            "alwayson_scripts",
        ),
        ("txt2img", json!({"tiling": true}), "tiling"),
        ("txt2img", json!({"init_images": [heart]}), "init_images"),
        ("txt2img", json!({"batch_size": 100}), "batch_size"),
        ("txt2img", json!({"cfg_scale": -1}), "cfg_scale"),
        ("txt2img", json!({"styles": ["unknown"]}), "styles"),
        (
            "txt2img",
            json!({"override_settings": {"sd_model_checkpoint": "other"}}),
            "override_settings.sd_model_checkpoint",
        ),
        ("img2img", json!({}), "init_images"),
        ("img2img", json!({"init_images": []}), "init_images"),
        ("img2img", json!({"init_images": ["%%%"]}), "init_images.0"),
        ("img2img", json!({"init_images": [heart], "denoising_strength": 2}), "denoising_strength"),
        ("img2img", json!({"init_images": [heart], "width": 96, "height": 64, "resize_mode": 2}), "resize_mode"),
    ] {
        let response = app.post(&format!("/sdapi/v1/{call}"), &quick(&body)).await;
        let status = response.status();
        let answer: Json = response.json().await.unwrap();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{field}: ")) && detail.len() < 400, "{field}: {detail}");
        assert_eq!((&answer["errors"], &answer["error"]), (&json!(detail), &json!("validation")));
    }
    let unknown: Json = app.json("/sdapi/v1/nothing").await;
    assert!(unknown["detail"].is_string(), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_effect_is_said() {
    let app = TestApp::start().await;
    let asked = json!({
        "restore_faces": true, "subseed": 3, "subseed_strength": 0.5, "override_settings": {"CLIP_stop_at_last_layers": 2},
        "alwayson_scripts": {"ADetailer": {"args": [false]}}, "sampler_index": "Euler a", "s_noise": 1, "eta": 1.0,
    });
    let answer = made(&app, "txt2img", &quick(&asked)).await;
    let said = warnings(&answer);
    for name in ["restore_faces", "subseed_strength", "CLIP_stop_at_last_layers"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!said.contains("ADetailer") && !said.contains("s_noise"), "{said}");
    assert_eq!(info(&answer)["sampler_name"], "Euler a");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_watch_and_stop_their_own_images_alone() {
    let app = TestApp::with(Setup { keys: true, ..Setup::default() }).await;
    let (mine, theirs) = (
        app.key(&[Scope::Generate], KeyLimits::default()).await,
        app.key(&[Scope::Generate], KeyLimits::default()).await,
    );
    let long = json!({"prompt": "red heart", "steps": 100, "width": 256, "height": 256});
    let drawing = mine.post("/sdapi/v1/txt2img", &long);
    let watching = async {
        eventually("a preview", async || mine.json("/sdapi/v1/progress").await["current_image"].is_string()).await;
        let progress = mine.json("/sdapi/v1/progress").await;
        let preview = STANDARD.decode(progress["current_image"].as_str().unwrap()).unwrap();
        assert_eq!(imaging::decode(&preview, &DECODE).unwrap().width(), 256);
        let share = progress["progress"].as_f64().unwrap();
        assert!(share > 0.0 && share < 1.0, "{progress}");
        assert_eq!(progress["state"]["job_count"], 1);
        assert!(progress["state"]["sampling_step"].as_u64().unwrap() > 0, "{progress}");
        let plain = mine.json("/sdapi/v1/progress?skip_current_image=true").await;
        assert!(plain["current_image"].is_null(), "{plain}");
        let unclear = mine.get("/sdapi/v1/progress?skip_current_image=perhaps").await;
        assert_eq!(unclear.status(), StatusCode::BAD_REQUEST);

        let other = theirs.json("/sdapi/v1/progress").await;
        assert_eq!((&other["progress"], &other["state"]["job_count"]), (&json!(0.0), &json!(0)));
        assert!(other["current_image"].is_null());
        assert_eq!(theirs.post("/sdapi/v1/interrupt", &json!({})).await.status(), StatusCode::OK);
        assert_eq!(mine.json("/sdapi/v1/progress").await["state"]["job_count"], 1, "it goes on");
        // As SillyTavern sends it: without a body.
        let interrupted = mine.send(app.client.post(app.url("/sdapi/v1/interrupt"))).await;
        assert_eq!(interrupted.status(), StatusCode::OK);
        assert_eq!(interrupted.json::<Json>().await.unwrap(), json!({}));
    };
    let (response, ()) = tokio::join!(drawing, watching);
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(response.json::<Json>().await.unwrap()["detail"].as_str().unwrap().contains("canceled"));
    assert_eq!(mine.json("/sdapi/v1/progress").await["state"]["job_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_password() {
    let app = TestApp::with(Setup { keys: true, ..Setup::default() }).await;
    let key = app.key(&[Scope::Generate], KeyLimits::default()).await;
    let request = |path: &str| app.client.get(app.url(path));
    let given = request("/sdapi/v1/options").basic_auth("whoever", Some(&key.text)).send().await.unwrap();
    assert_eq!(given.status(), StatusCode::OK);
    let drawn = app.client.post(app.url("/sdapi/v1/txt2img")).basic_auth("", Some(&key.text)).json(&quick(&json!({})));
    assert_eq!(drawn.send().await.unwrap().status(), StatusCode::OK);
    for request in [request("/sdapi/v1/options"), request("/sdapi/v1/progress").basic_auth("x", Some("wrong"))] {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert!(refused.json::<Json>().await.unwrap()["detail"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moderation_refuses_here_as_everywhere() {
    let app = TestApp::with(Setup { lexicon: vec![("violence", vec!["frobnicator"])], ..Setup::default() }).await;
    let refused = app.post("/sdapi/v1/txt2img", &quick(&json!({"prompt": "a frobnicator"}))).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.json::<Json>().await.unwrap()["error"], "moderation-blocked");
}
