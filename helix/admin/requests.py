"""/helix/requests, /helix/audit, /helix/spend and /helix/overview: what happened, from the record of requests."""

from __future__ import annotations

from helix.admin import answers, given
from helix.admin.backends import RequestLog
from helix.admin.endpoint import Call, Endpoint

__all__ = ["request_endpoints"]


def request_endpoints(log: RequestLog) -> list[Endpoint]:
    """Read the record of requests."""

    async def list_requests(call: Call) -> answers.RequestPage:
        """List requests, latest first: names, counts, amounts and durations, never text."""
        query: given.RequestsQuery = call.query
        rows, cursor = await log.requests(
            limit=query.limit,
            cursor=query.cursor,
            model=query.model,
            status=query.status,
            cache=query.cache,
            key=query.key,
            since=query.since,
        )
        return answers.RequestPage(data=[answers.RequestRow.model_validate(row) for row in rows], next_cursor=cursor)

    async def list_redactions(call: Call) -> answers.RedactionPage:
        """List what the redact stage decided, latest first: kinds, places, scores and strategies, never values."""
        query: given.RedactionsQuery = call.query
        rows, cursor = await log.redactions(
            limit=query.limit,
            cursor=query.cursor,
            outcome=query.outcome,
            kind=query.kind,
            key=query.key,
            since=query.since,
        )
        events = [answers.RedactionEvent.model_validate(row) for row in rows]
        return answers.RedactionPage(data=events, next_cursor=cursor)

    async def spend(call: Call) -> answers.Spend:
        """Spending by key, model, team or day."""
        query: given.SpendQuery = call.query
        rows = await log.spend(group_by=query.group_by, since=query.since)
        return answers.Spend(data=[answers.SpendRow.model_validate(row) for row in rows])

    async def overview(call: Call) -> answers.Overview:
        """The state of the gateway at a glance: totals, percentiles, and a slice of each step of the time."""
        return answers.Overview.model_validate(await log.overview(since=call.query.since))

    return [
        Endpoint("GET", "/helix/requests", list_requests, answers.RequestPage, query=given.RequestsQuery),
        Endpoint("GET", "/helix/audit/redactions", list_redactions, answers.RedactionPage, query=given.RedactionsQuery),
        Endpoint("GET", "/helix/spend", spend, answers.Spend, query=given.SpendQuery),
        Endpoint("GET", "/helix/overview", overview, answers.Overview, query=given.OverviewQuery),
    ]
