// How a peer script and the tests talk: JSON on stdin, JSON lines on stdout.
export async function readPayload() {
  // Not to the end of the stream: a script that stays may be given more lines later.
  const chunks = [];
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
    if (chunk.includes(10)) break;
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

export function answer(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
