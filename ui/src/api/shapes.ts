// The answers of the HTTP API (docs/protocol.md) as they come over the wire.

/** An exact integer: digits, or a number where those are safe. `exact` in words/number.ts reads it. */
export type Integer = string | number;

export interface Counter {
  key: string;
  value: Integer | null;
}

export interface Counters {
  counters: Counter[];
  next: string | null;
}

export interface Point {
  start: string;
  value: Integer;
  complete: boolean;
}

export interface Series {
  key: string;
  total: Integer | null;
  first: string | null;
  last: string | null;
  points: Point[];
}

export interface History {
  from: string;
  to: string;
  step: string;
  tz: string;
  series: Series[];
}

export interface Row {
  key?: string;
  group?: string;
  value: Integer;
}

export interface Query {
  match: string;
  matched: number;
  total: Integer;
  rows: Row[];
}

export interface Reason {
  reason: string;
  count: Integer;
  last: string | null;
}

/** One source (in events) or namespace (in adds): received = counted + duplicate + late + rejected + ignored. */
export interface LedgerEntry {
  name: string;
  received: Integer;
  counted: Integer;
  duplicate: Integer;
  late: Integer;
  rejected: Integer;
  ignored: Integer;
  reasons: Reason[];
}

export interface Ledger {
  sources: LedgerEntry[];
  namespaces: LedgerEntry[];
}

/** A node that shares the store, as the one that answered last heard it. */
export interface Node {
  id: string;
  this: boolean;
  alive: boolean;
  silent_ms: Integer;
  clock_ahead_ms: Integer;
  http: string;
  resp: string;
  version: string;
  writer: number;
  started: string;
  hot_counters: Integer;
  journal_bytes: Integer;
}

/** None where the store is the node's alone. */
export interface Nodes {
  nodes: Node[];
}

/** Two things that should be equal and are not. */
export interface Drift {
  check: string;
  subject: string;
  detail: string;
  mended: string | null;
}

/** A walk over all sums. */
export interface Pass {
  number: Integer;
  repairs: boolean;
  started: string;
  ended: string | null;
  took_ms: Integer | null;
  counters: Integer;
  hot: Integer;
  names: Integer;
  rows: Integer;
  found: Integer;
  mended: Integer;
  drifts: Drift[];
  error: string | null;
}

export interface Verified {
  every_ms: Integer;
  passes: Integer;
  checks: { check: string; meaning: string; drift: Integer; found: Integer; mended: Integer }[];
  running: Pass | null;
  last: Pass | null;
}

export interface Status {
  version: string;
  node: string;
  started: string;
  ready: boolean;
  store: string;
  ack: string;
  counters: Integer;
  hot: { counters: Integer; bytes: Integer; budget_bytes: Integer };
  journal: { position: Integer; synced: Integer; applied: Integer; bytes: Integer };
  uptime_s: number;
}

export interface Head {
  life: Integer;
  n: Integer;
  revision: Integer;
  base: Integer;
  created: boolean;
  expires: string | null;
  seen: { writer: Integer; position: Integer }[];
}

export interface Cell {
  writer: Integer;
  life: Integer;
  position: Integer;
  n: Integer;
  total: Integer;
  counted: Integer;
  summed: boolean;
}

export interface Writer {
  number: Integer;
  id: string;
  epoch: Integer;
  state: string;
  applied: Integer;
  pending: Integer | null;
}

export interface StepSum {
  step: string;
  left: Integer;
  windows: Integer;
  chunks: Integer;
  sum: Integer;
}

export interface Explanation {
  key: string;
  namespace: string;
  slot: number;
  value: Integer;
  exists: boolean;
  head: Head | null;
  cells: Cell[];
  writers: Writer[];
  unflushed: { total: Integer; counted: Integer; windows: Integer } | null;
  history: StepSum[];
}
