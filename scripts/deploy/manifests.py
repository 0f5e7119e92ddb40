"""manifests.py FILE – rules of this house for the Kubernetes manifests, beyond what the schema knows."""

import sys

import yaml


def main():
    documents = [one for one in yaml.safe_load_all(open(sys.argv[1])) if one]
    kinds = [one["kind"] for one in documents]
    wrong = [f"no {kind}" for kind in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "Job", "Ingress") if kind not in kinds]
    selectors = {}
    for one in documents:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Deployment":
            selectors[one["metadata"]["name"]] = one["spec"]["template"]["metadata"]["labels"]
        if one["kind"] not in ("Deployment", "Job"):
            continue
        pod = one["spec"]["template"]["spec"]
        if not pod["securityContext"].get("runAsNonRoot") or pod.get("automountServiceAccountToken") is not False:
            wrong.append(f"{name}: root, or a token of the cluster")
        for container in pod["containers"]:
            security = container["securityContext"]
            if not security["readOnlyRootFilesystem"] or security["allowPrivilegeEscalation"] or security["capabilities"] != {"drop": ["ALL"]}:
                wrong.append(f"{name}: {container['name']} may too much")
            if "memory" not in container["resources"]["limits"]:
                wrong.append(f"{name}: {container['name']} has no bound of memory")
            if one["kind"] == "Deployment" and not {"readinessProbe", "livenessProbe", "startupProbe"} <= container.keys():
                wrong.append(f"{name}: {container['name']} lacks a probe")
            for entry in container.get("env", []):
                if any(word in entry["name"] for word in ("PASSWORD", "SECRET", "TOKEN")) and not entry["name"].endswith("_FILE"):
                    wrong.append(f"{name}: {entry['name']} is in the environment")
    for one in documents:
        spec = one.get("spec", {})
        if one["kind"] == "Service" and spec["selector"] not in selectors.values():
            wrong.append(f"Service {one['metadata']['name']} selects nothing")
        if one["kind"] == "PodDisruptionBudget" and spec["selector"]["matchLabels"] not in selectors.values():
            wrong.append(f"PodDisruptionBudget {one['metadata']['name']} selects nothing")
        if one["kind"] == "HorizontalPodAutoscaler" and spec["scaleTargetRef"]["name"] not in selectors:
            wrong.append("the autoscaler scales nothing")
        if one["kind"] == "Service" and any(port.get("targetPort") == "admin" for port in spec["ports"]):
            wrong.append("the admin port is served")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"ok: {len(documents)} objects; selectors meet, nobody is root, secrets are files, the admin port is in no service")


if __name__ == "__main__":
    main()
