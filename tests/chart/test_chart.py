"""The Helm chart without a cluster: what it renders from the values of `ci/*.yaml` is valid, keeps the rules of this project, and is a
configuration that the server accepts. `.ci/chart` runs this."""

import os
import secrets
import subprocess
import tomllib
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

CHART = Path(__file__).parents[2] / "deploy/helm/kandinsky"
CASES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
BINARY = os.environ["KANDINSKY_BINARY"]
KUBERNETES = "1.30"
CUSTOM = {"ScaledObject": ScaledObject, "PodMonitor": PodMonitor}

# What secrets would hold.
SECRETS = {
    "KANDINSKY__STORE__URL": "postgres://kandinsky:secret@postgres/kandinsky",
    "KANDINSKY__BROKER__URL": "nats://kandinsky:secret@nats:4222",
    "KANDINSKY__PICTURES__ACCESS_KEY_ID": "id",
    "KANDINSKY__PICTURES__SECRET_ACCESS_KEY": "secret",
    "KANDINSKY__AUTH__URL_SECRET": "0123456789abcdef" * 4,
    "KANDINSKY__WEBHOOKS__SECRET": "whsec_" + "a2FuZGluc2t5" * 3,
    "KANDINSKY__MODERATION__REMOTE_KEY": "token",
}


def values(case):
    return helm.values_from_yaml((CHART / "ci" / f"{case}.yaml").read_text())


def render(given):
    files = helm.Chart.load(CHART).render(given, name="demo", namespace="images")
    documents = (document for text in files.values() for document in yaml.safe_load_all(text))
    return [document for document in documents if document]


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def objects(case):
    return render(values(case))


def pods(objects):
    """The pods of an installation: (kind, name, specification)."""
    for thing in objects:
        match thing["kind"]:
            case "Pod":
                yield thing["kind"], thing["metadata"]["name"], thing["spec"]
            case "Deployment" | "Job":
                yield thing["kind"], thing["metadata"]["name"], thing["spec"]["template"]["spec"]


def of(objects, kind):
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == kind}


def test_lint(case):
    report = helm.lint(CHART, values(case), strict=True)
    assert [m for m in report["messages"] if m["severity"] > 1] == [] and report["errors"] == []


def test_objects_are_valid(objects):
    assert objects
    for thing in objects:
        if model := CUSTOM.get(thing["kind"]):
            model.model_validate(thing)
        else:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)


def test_names_are_unique(objects):
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in objects]
    assert len(names) == len(set(names))


def test_pods_have_few_rights_and_bounds(objects):
    for _, name, pod in pods(objects):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"], name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"], name
            tag = container["image"].rpartition(":")[2]
            assert tag not in ("latest", container["image"]), name
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= {volume["name"] for volume in pod.get("volumes", [])}, name


def test_probes_tell_loading_from_dead(objects):
    for name, thing in of(objects, "Deployment").items():
        [container] = thing["spec"]["template"]["spec"]["containers"]
        startup, live, ready = (container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness"))
        assert startup["httpGet"]["path"] == ready["httpGet"]["path"] == "/readyz", name
        assert startup["failureThreshold"] * startup["periodSeconds"] >= 600, name
        assert live["httpGet"]["path"] == "/healthz", name


def test_what_scales_itself_has_no_number_of_replicas(objects):
    scaled = {
        thing["spec"]["scaleTargetRef"]["name"]
        for thing in objects
        if thing["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")
    }
    deployments = of(objects, "Deployment")
    assert scaled <= deployments.keys()
    for name, thing in deployments.items():
        assert ("replicas" in thing["spec"]) == (name not in scaled), name


def test_selectors_find_their_pods_and_no_others(objects):
    deployments = of(objects, "Deployment")
    labels = {name: thing["spec"]["template"]["metadata"]["labels"] for name, thing in deployments.items()}
    fits = lambda selector: {name for name, has in labels.items() if selector.items() <= has.items()}
    for name, thing in deployments.items():
        assert fits(thing["spec"]["selector"]["matchLabels"]) == {name}
    [service] = of(objects, "Service").values()
    assert fits(service["spec"]["selector"]) == ({"demo-kandinsky-api"} if len(deployments) > 1 else {"demo-kandinsky"})


def test_gpus_are_asked_for_and_tolerated(objects):
    for name, thing in of(objects, "Deployment").items():
        pod = thing["spec"]["template"]["spec"]
        resources = pod["containers"][0]["resources"]
        device = next((e["value"] for e in pod["containers"][0]["env"] if e["name"].endswith("__DEVICE")), "cpu")
        gpus = [resources[part].get("nvidia.com/gpu") for part in ("requests", "limits")]
        assert gpus == ([1, 1] if device.startswith("cuda") else [None, None]), name
        assert bool(pod.get("tolerations")) == device.startswith("cuda"), name


def test_secrets_are_named_and_not_written(objects):
    rendered = yaml.safe_dump_all(objects)
    assert not any(thing["kind"] == "Secret" for thing in objects)
    assert "postgres://" not in rendered and "nats://" not in rendered


def test_what_one_server_of_a_fleet_signs_the_others_accept(objects):
    """A secret that a server makes for itself is in a folder of its own, which ends with the pod."""
    for name, thing in of(objects, "Deployment").items():
        pod = thing["spec"]["template"]
        [container] = pod["spec"]["containers"]
        secret = {e["name"] for e in container["env"] if "valueFrom" in e}
        [text] = [thing["data"]["kandinsky.toml"] for thing in of(objects, "ConfigMap").values() if "kandinsky.toml" in thing["data"]]
        sends = tomllib.loads(text).get("webhooks", {}).get("enabled", True)
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "api":
            assert "KANDINSKY__AUTH__URL_SECRET" in secret, name
            assert ("KANDINSKY__WEBHOOKS__SECRET" in secret) == sends, name
        else:
            assert "KANDINSKY__WEBHOOKS__SECRET" not in secret, name


def test_what_runs_may_end_within_the_time_that_the_pod_has(objects):
    for name, thing in of(objects, "Deployment").items():
        pod = thing["spec"]["template"]["spec"]
        [grace] = [int(e["value"]) for e in pod["containers"][0]["env"] if e["name"] == "KANDINSKY__SERVER__DRAIN_GRACE_S"]
        # The delay, and what follows a drain.
        assert grace == pod["terminationGracePeriodSeconds"] - 5 - 15, name


@pytest.mark.parametrize(
    ("server", "seconds", "given"),
    [({"shutdown_delay_s": 0}, 60, "45"), ({"shutdown_delay_s": 30}, 40, "0"), ({"drain_grace_s": 7}, 60, None), ({"drain_grace_s": 0}, 60, None)],
)
def test_the_grace_period_that_is_configured_counts(server, seconds, given):
    objects = render(values("minimal") | {"config": {"server": server}, "server": {"terminationGracePeriodSeconds": seconds}})
    [thing] = of(objects, "Deployment").values()
    env = thing["spec"]["template"]["spec"]["containers"][0]["env"]
    assert next((e["value"] for e in env if e["name"] == "KANDINSKY__SERVER__DRAIN_GRACE_S"), None) == given


def test_the_server_accepts_the_configuration(case, objects, tmp_path):
    [text] = [thing["data"]["kandinsky.toml"] for thing in of(objects, "ConfigMap").values() if "kandinsky.toml" in thing["data"]]
    keys = tmp_path / "keys"
    keys.write_text(f"{secrets.token_hex(32)} name=test\n")
    # What is elsewhere in a container. A checkpoint and devices are not here to be looked at.
    text = text.replace("/run/secrets/kandinsky/keys", str(keys)).replace('"/data"', f'"{tmp_path}"')
    file = tmp_path / "kandinsky.toml"
    file.write_text("\n".join(line for line in text.splitlines() if not line.startswith("path = ")))
    for name, thing in of(objects, "Deployment").items():
        [container] = thing["spec"]["template"]["spec"]["containers"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        for variable in container["env"]:
            if variable["name"].endswith(("__DEVICE", "__DTYPE", "HF_HOME")):
                continue
            environment[variable["name"]] = SECRETS[variable["name"]] if "valueFrom" in variable else variable["value"]
        command = [BINARY, container["args"][0], "--config", str(file), "--check"]
        checked = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert checked.returncode == 0, f"{name}: {checked.stdout}{checked.stderr}"


def test_incomplete_values_are_refused_in_words():
    for given, said in [
        ({}, "auth.existingSecret"),
        ({"auth": {"allowAnonymous": True}, "fleet": {"enabled": True}}, "database.existingSecret"),
        (values("fleet") | {"objectStore": {"bucket": ""}}, "objectStore.bucket"),
        (values("fleet") | {"webhooks": {}}, "webhooks.existingSecret"),
        (values("fleet") | {"nats": {"existingSecret": "nats"}}, "nats.monitoringUrl"),
        (values("minimal") | {"image": {"tag": "latest"}}, "tag"),
        (values("minimal") | {"replicas": 2}, "replicas"),
    ]:
        with pytest.raises(helm.HelmError, match=said):
            render(given)
