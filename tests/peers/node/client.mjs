// An unmodified JavaScript client that lives until the server ends it.
// In: {"url", "creds", "subscribe": [subjects], "publish": [[subject, text]], "reconnect": false}.
// Out, a line each as it happens: {"event": "connected" | "refused" | "message" | "status" | "closed", …};
// after "connected" every subscription has been processed by the server.
import { connect, credsAuthenticator } from "@nats-io/transport-node";
import { readPayload, answer } from "./wire.mjs";

const wish = await readPayload();
const describe = (fault) => ({ name: fault?.name ?? "", error: String(fault?.message ?? fault ?? "") });

let client;
try {
  client = await connect({
    servers: [wish.url].flat(),
    authenticator: wish.creds ? credsAuthenticator(new TextEncoder().encode(wish.creds)) : undefined,
    reconnect: wish.reconnect ?? false,
    timeout: 10_000,
  });
} catch (fault) {
  answer({ event: "refused", ...describe(fault) });
  process.exit(0);
}

(async () => {
  for await (const each of client.status()) {
    answer({ event: "status", type: each.type, error: String(each.error?.message ?? each.error ?? "") });
  }
})();

for (const subject of wish.subscribe ?? []) {
  client.subscribe(subject, {
    callback: (fault, message) =>
      answer(
        fault
          ? { event: "subscription_refused", subject, ...describe(fault) }
          : { event: "message", subject: message.subject, text: message.string() },
      ),
  });
}
await client.flush();
answer({ event: "connected", server: client.getServer() });
for (const [subject, text] of wish.publish ?? []) client.publish(subject, text);
await client.flush().catch(() => {});

process.on("SIGTERM", () => client.close());
const fault = await client.closed();
answer({ event: "closed", ...describe(fault) });
process.exit(0);
