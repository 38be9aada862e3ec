// Makes and reads keys and tokens with the unmodified npm packages @nats-io/nkeys and @nats-io/jwt.
// In: {"do": [{"op": …}, …]} on stdin. Out: {"done": [{"ok": true, …} or {"ok": false, "error"}, …]}.
import * as nkeys from "@nats-io/nkeys";
import * as jwt from "@nats-io/jwt";
import { readPayload, answer } from "./wire.mjs";

const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (array) => Buffer.from(array).toString("hex");
const pair = (seed) => nkeys.fromSeed(Buffer.from(seed));
const curve = (seed) => nkeys.fromCurveSeed(Buffer.from(seed));
const seedOf = (made) => new TextDecoder().decode(made.getSeed());
const makers = {
  operator: nkeys.createOperator,
  account: nkeys.createAccount,
  user: nkeys.createUser,
  server: nkeys.createServer,
  cluster: nkeys.createCluster,
  curve: nkeys.createCurve,
};

const acts = {
  create: ({ role }) => {
    const made = makers[role]();
    return { seed: seedOf(made), public: made.getPublicKey() };
  },
  public_of: ({ seed }) => ({ public: (seed.startsWith("SX") ? curve(seed) : pair(seed)).getPublicKey() }),
  check_public: (q) => ({ public: nkeys.fromPublic(q.public).getPublicKey() }),
  sign: ({ seed, data }) => ({ signature: hex(pair(seed).sign(bytes(data))) }),
  verify: (q) => ({ valid: nkeys.fromPublic(q.public).verify(bytes(q.data), bytes(q.signature)) }),
  seal: ({ seed, peer, data }) => ({ data: hex(curve(seed).seal(bytes(data), peer)) }),
  open: ({ seed, peer, data }) => {
    const opened = curve(seed).open(bytes(data), peer);
    if (opened === null) throw new Error("cannot be opened");
    return { data: hex(opened) };
  },
  encode_operator: async ({ name, seed, operator }) => ({
    token: await jwt.encodeOperator(name, pair(seed), operator ?? {}),
  }),
  encode_account: async ({ name, seed, signer, account }) => ({
    token: await jwt.encodeAccount(name, pair(seed), account ?? {}, signer ? { signer: pair(signer) } : {}),
  }),
  encode_user: async ({ name, user_public, issuer, user, scoped }) => ({
    token: await jwt.encodeUser(name, user_public, pair(issuer), user ?? {}, { scopedUser: Boolean(scoped) }),
  }),
  decode: ({ token }) => ({ claims: jwt.decode(token) }),
  format_creds: ({ token, seed }) => ({ text: new TextDecoder().decode(jwt.fmtCreds(token, pair(seed))) }),
  parse_creds: async ({ text }) => {
    const read = await jwt.parseCreds(new TextEncoder().encode(text));
    return { token: read.jwt, seed: read.key, account: read.aid };
  },
};

const done = [];
for (const q of (await readPayload()).do) {
  try {
    if (!(q.op in acts)) throw new Error(`no such op: ${q.op}`);
    done.push({ ok: true, ...(await acts[q.op](q)) });
  } catch (fault) {
    done.push({ ok: false, error: String(fault.message ?? fault) });
  }
}
answer({ done });
