"""The Kubernetes manifests: against the API's schemas, and what they promise each other."""

import functools
import json
import re
import unittest

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import promql
from place import HERE, KUBERNETES, NO_MANIFESTS, RULES, documents, manifests

# The definitions of a version are 10 MB of JSON: they are read once, not for each manifest.
kubernetes_validate.utils.schema_contents = functools.lru_cache(kubernetes_validate.utils.schema_contents)
# The oldest that has what is used here (persistentVolumeClaimRetentionPolicy), and the newest that the schemas know.
VERSIONS = ("1.27", "1.32", kubernetes_validate.latest_version())


def of_kind(*kinds) -> list:
    return [manifest for _, manifest in manifests() if manifest["kind"] in kinds]


def pods() -> list:
    return [(manifest, manifest["spec"]["template"]) for manifest in of_kind("StatefulSet", "Deployment")]


def selects(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


class Kubernetes(unittest.TestCase):
    def test_manifests_are_valid_in_every_version(self):
        for name, manifest in manifests():
            if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
                schema = json.loads((HERE / "schemas" / f"{manifest['kind'].lower()}.json").read_text())
                jsonschema.Draft202012Validator(schema).validate(manifest)
                continue
            for version in VERSIONS:
                with self.subTest(name, kind=manifest["kind"], version=version):
                    kubernetes_validate.validate(manifest, version, strict=True)

    def test_validation_refuses_what_is_wrong(self):
        broken = of_kind("Deployment")[0]
        broken["spec"]["replica"] = 2
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, VERSIONS[0], strict=True)

    def test_kustomization_lists_every_manifest(self):
        listed = documents(KUBERNETES / "kustomization.yaml")[0]["resources"]
        self.assertEqual(set(listed), {path.name for path in KUBERNETES.glob("*.yaml")} - set(NO_MANIFESTS) - {"secret.yaml"})

    def test_prometheusrule_holds_the_shipped_rules(self):
        rule = of_kind("PrometheusRule")[0]
        self.assertEqual(rule["spec"]["groups"], documents(RULES)[0]["groups"], "run tests/deploy/run.py --write")

    def test_selectors_find_their_pods(self):
        for manifest, template in pods():
            self.assertTrue(selects(manifest["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]))
        for service in of_kind("Service"):
            found = [
                container
                for _, template in pods()
                if selects(service["spec"]["selector"], template["metadata"]["labels"])
                for container in template["spec"]["containers"]
            ]
            ports = {port["name"] for container in found for port in container["ports"]}
            for port in service["spec"]["ports"]:
                self.assertIn(port["targetPort"], ports, service["metadata"]["name"])
        monitor = of_kind("ServiceMonitor")[0]["spec"]
        watched = [s for s in of_kind("Service") if selects(monitor["selector"]["matchLabels"], s["metadata"]["labels"])]
        self.assertEqual({s["metadata"]["name"] for s in watched}, {"castmatch-companion", "castmatch-standby-metrics"})
        for service in watched:
            self.assertIn(monitor["endpoints"][0]["port"], {port["name"] for port in service["spec"]["ports"]})
            # The rules know castmatch by the name of its job, which is that of the service.
            self.assertTrue(service["metadata"]["name"].startswith("castmatch"))

    def test_names_that_are_referred_to_exist(self):
        secret = of_kind("Secret")[0]
        services = {service["metadata"]["name"] for service in of_kind("Service")}
        for manifest, template in pods():
            for volume in template["spec"]["volumes"]:
                if "secret" in volume:
                    self.assertEqual(volume["secret"]["secretName"], secret["metadata"]["name"])
                    for item in volume["secret"]["items"]:
                        self.assertIn(item["key"], secret["stringData"])
                if "configMap" in volume:
                    self.assertEqual(volume["configMap"]["name"], of_kind("ConfigMap")[0]["metadata"]["name"])
            mounts = {mount["name"] for c in template["spec"]["containers"] for mount in c["volumeMounts"]}
            claims = {claim["metadata"]["name"] for claim in manifest["spec"].get("volumeClaimTemplates", [])}
            self.assertEqual(mounts, claims | {volume["name"] for volume in template["spec"]["volumes"]})
            if manifest["kind"] == "StatefulSet":
                self.assertIn(manifest["spec"]["serviceName"], services)
            for container in template["spec"]["containers"]:
                for variable in container.get("env", []):
                    if variable["name"] == "PRIMARY_HOST":
                        self.assertIn(variable["value"], services)
        host = re.search(r"@([\w.-]+):5432/", secret["stringData"]["database-url"])[1]
        self.assertIn(host, services)

    def test_pods_are_restricted(self):
        for manifest, template in pods():
            with self.subTest(manifest["metadata"]["name"]):
                spec = template["spec"]
                self.assertIs(spec["automountServiceAccountToken"], False)
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                for container in spec["containers"]:
                    context = container["securityContext"]
                    self.assertIs(context["allowPrivilegeEscalation"], False)
                    self.assertIs(context["readOnlyRootFilesystem"], True)
                    self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                    self.assertLessEqual({"requests", "limits"}, set(container["resources"]))
                    self.assertLessEqual({"readinessProbe", "livenessProbe"}, set(container))
                    self.assertRegex(container["image"], r"^castmatch-(database|companion):\d+\.\d+\.\d+$")

    def test_autoscaler_scales_by_the_metric_of_the_adapter(self):
        scaler = of_kind("HorizontalPodAutoscaler")[0]["spec"]
        names = {(m["kind"], m["metadata"]["name"]) for m, _ in pods()}
        self.assertIn((scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]), names)
        rule = documents(KUBERNETES / "prometheus-adapter.yaml")[0]["rules"]["custom"][0]
        self.assertEqual(scaler["metrics"][0]["pods"]["metric"]["name"], rule["name"]["as"])
        promql.check(rule["seriesQuery"].replace("bucket{", "bucket{le!=\"\",", 1).join(("rate(", "[5m])")))
        # As the adapter fills its template in.
        query = rule["metricsQuery"].replace("<<.Series>>", rule["seriesQuery"].split("{")[0])
        query = query.replace("<<.LabelMatchers>>", 'namespace="castmatch",pod=~"a|b"').replace("<<.GroupBy>>", "pod")
        self.assertNotIn("<<", query)
        promql.check(query)
        scaled = [m for m, _ in pods() if m["metadata"]["name"] == scaler["scaleTargetRef"]["name"]][0]
        self.assertNotIn("replicas", scaled["spec"], "the autoscaler's number would be overwritten")
