#!/bin/bash
# Open an issue with this title that names the failed run, or comment on the one that is open already.
#
#     .github/open-issue.sh "A link of the book is broken"
set -euo pipefail
title=$1
body="The run that found it: $GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"

number=$(gh issue list --repo "$GITHUB_REPOSITORY" --state open --limit 200 --json number,title |
    jq --arg title "$title" 'map(select(.title == $title)) | .[0].number // empty')
if [ -n "$number" ]; then
    gh issue comment "$number" --repo "$GITHUB_REPOSITORY" --body "$body"
else
    gh issue create --repo "$GITHUB_REPOSITORY" --title "$title" --body "$body"
fi
