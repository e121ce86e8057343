"""The API of Kubeflow Pipelines, as messages about it call it and what they advise."""

from model_core.variables import KFP_COOKIE, KFP_COOKIE_FILE, KFP_TOKEN, KFP_TOKEN_FILE
from model_core.web.connection import Service
from model_core.web.credentials import Variables
from pipelines.kubeflow.address import DASHBOARD_PATH, EXAMPLE

KUBEFLOW = Service(
    title="the API of Kubeflow Pipelines",
    prefix="/apis/v2beta1",
    variables=Variables(
        {"Authorization": (KFP_TOKEN, KFP_TOKEN_FILE), "Cookie": (KFP_COOKIE, KFP_COOKIE_FILE)},
        address="--host",
        over_http="--token-over-http",
    ),
    if_denied="set KFP_TOKEN to a bearer token, KFP_TOKEN_FILE to a file that holds one, or KFP_COOKIE to the cookie "
    "of a signed-in page (NAME=VALUE)",
    if_forbidden="ask for permission, or check --namespace",
    if_another="set KFP_TOKEN or KFP_COOKIE if it asks for credentials, and check --host: behind Kubeflow's dashboard, "
    f"the API is below {DASHBOARD_PATH}, e.g. {EXAMPLE}",
    checks="the submission",
)
