"""Prints what a run of the word count demo did, and which claims about it hold."""


def per_second(times_us):
    span_us = max(times_us, default=0) - min(times_us, default=0)
    return f"{len(times_us) * 1_000_000 / span_us:,.0f}" if span_us > 0 else "-"


def queue_row(queue, confirmed, run):
    """One row of the table. `confirmed`: what producers published; dead letters are moved by the broker itself."""
    deliveries = [d for d in run.deliveries if d.queue == queue]
    processed = [d for d in deliveries if d.outcome == "ack"]
    acks = sum((s.queue, s.outcome, s.status) == (queue, "ack", "OK") for s in run.settled)
    repeats = len(deliveries) - len({d.message_id for d in deliveries})
    return [queue, f"{len(confirmed):,}", f"{len(deliveries):,}", f"{repeats:,}",
            f"{sum(d.redelivered for d in deliveries):,}", f"{len(deliveries) - len(processed):,}",
            f"{len(processed):,}", f"{acks:,}", per_second([row.confirmed_us for row in confirmed]),
            per_second([d.start_us for d in processed])]


def print_table(rows):
    header = ["queue", "confirmed", "deliveries", "repeats", "flagged", "nacked", "processed", "acked",
              "confirmed/s", "processed/s"]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(w) for cell, w in zip(row[1:], widths[1:])))
    print("  repeats: deliveries after a message's first; flagged: marked as redelivered, as is all that was published"
          "\n  before the broker was killed; acked: confirmed by the broker, without the answers that a kill swallowed")


def print_claims(title, claims):
    print(f"\n{title}")
    for claim in claims:
        judged = f"({claim.judged:,})" if claim.judged else "(nothing to judge)"
        print(f"  {'ok  ' if claim.holds else 'FAIL'}  {claim.name} {judged}")
        for fault in claim.faults:
            print(f"          {fault}")
    return all(claim.holds for claim in claims)
