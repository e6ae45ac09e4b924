// One call to the server: parameters out, exact JSON or a Problem back. The token rides along where there is one.
import { token } from '../state/token';

/** What the server said when it refused, or that it could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

/** Names may repeat (`key=a&key=b`); what is undefined is left out. */
export type Params = [name: string, value: string | number | undefined][];

export function address(path: string, params: Params): string {
  const query = new URLSearchParams();
  for (const [name, value] of params) if (value !== undefined) query.append(name, String(value));
  const text = query.toString();
  return text ? `/v1/${path}?${text}` : `/v1/${path}`;
}

/** Fetches with the token; answers only what succeeded, throws a Problem for everything else but an abort. */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const secret = token.read();
  if (secret) headers.set('authorization', `Bearer ${secret}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, cache: 'no-store' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, 'unreachable', 'The server does not answer', 'It may be starting or stopped, or the network is down.');
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) token.refuse();
  throw problem;
}

export async function get<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  const response = await request(address(path, [...params, ['int64', 'string']]), signal ? { signal } : {});
  return exactJson(await response.text()) as T;
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const response = await request(address(path, [['int64', 'string']]), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
  return exactJson(await response.text()) as T;
}

async function problemOf(response: Response): Promise<Problem> {
  const said = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return new Problem(response.status, text(said.kind), text(said.title) || `HTTP ${response.status}`, text(said.detail));
}

/** Integers that a double cannot hold stay as their digits (where the browser shows them to us; `int64=string` is the rule). */
export function exactJson(text: string): unknown {
  const keepDigits = (_: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? (context?.source ?? value) : value;
  return JSON.parse(text, keepDigits as (key: string, value: unknown) => unknown);
}
