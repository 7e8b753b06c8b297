// Requests to our own server: with the token if there is one, and errors as sentences.

let token = sessionStorage.getItem("sat2map-token") || "";

export function setToken(text) {
  token = text;
  sessionStorage.setItem("sat2map-token", text);
}

export function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

export class Problem extends Error {
  constructor(status, detail, remedy, retryAfter) {
    super(remedy ? `${detail}. ${remedy}` : detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch { /* a proxy in between may answer in its own words */ }
  const after = Number(response.headers.get("Retry-After")) || 0;
  return new Problem(response.status, body.detail || `The server answered ${response.status}`, body.remedy || "", after);
}

export async function request(address, options = {}) {
  let response;
  try {
    response = await fetch(address, { ...options, headers: headers(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The server does not answer", "See that it still runs", 0);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export const getJson = async (address) => (await request(address)).json();

// Yields the objects of a stream of server-sent events. EventSource cannot send a token.
export async function* events(address, signal) {
  const response = await request(address, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
    }
  }
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
