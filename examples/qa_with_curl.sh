#!/usr/bin/env bash
# From a zip of defect images (one folder a class) to synthetic ones with curl alone; python3 reads the JSON.
#   DEFECTSYNTH_URL=http://127.0.0.1:8000 examples/qa_with_curl.sh images.zip 24 synthetic.zip
set -euo pipefail
archive=$1 num_images=$2 out=$3
url=${DEFECTSYNTH_URL:-http://127.0.0.1:8000}

call() { # path and curl's options; a problem's own words go to stderr
    local path=$1; shift
    curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused \
        ${DEFECTSYNTH_API_KEY:+--header "Authorization: Bearer $DEFECTSYNTH_API_KEY"} "$@" "$url$path"
}
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
new_key() { python3 -c 'import uuid; print("Idempotency-Key:", uuid.uuid4())'; } # sent again, the work is done once
post_json() { call "$1" --header "$(new_key)" --header 'Content-Type: application/json' --data "$2"; }
wait_for() { # every job of an adaptation or generation
    local path=$1 state
    while state=$(call "$path" | field state); [[ $state == queued || $state == running ]]; do sleep 1; done
    echo "$path: $state"
    [[ $state == succeeded ]]
}

dataset=$(call /v1/datasets --header "$(new_key)" --form name=from-curl --form "archive=@$archive" | field id)
adaptation=$(post_json /v1/adaptations "{\"dataset_id\": \"$dataset\"}" | field id)
wait_for "/v1/adaptations/$adaptation"
generation=$(post_json /v1/generations "{\"adaptation_id\": \"$adaptation\", \"num_images\": $num_images}" | field id)
wait_for "/v1/generations/$generation"
call "/v1/generations/$generation/archive" --output "$out"
echo "$out: synthetic images, a folder a class, with manifest.json"
