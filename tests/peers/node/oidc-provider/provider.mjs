// The npm package oidc-provider as an identity provider: a real issuer of tokens, unmodified.
// argv[2] is a file: {"issuer", "port", "jwks": {"keys": [private keys]}, "users": {name: claims}, "algorithm",
// "groups_in_access_tokens": bool}. Writes "ready" when it listens; ends at SIGTERM.
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const wish = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const algorithm = wish.algorithm ?? "RS256";
const audience = "urn:nats:callout";
const codeFlow = { grant_types: ["authorization_code"], response_types: ["code"], redirect_uris: ["http://127.0.0.1/done"] };

const provider = new Provider(wish.issuer, {
  jwks: wish.jwks,
  clients: [
    {
      client_id: "svc-app", client_secret: "svc-secret-0123456789-0123456789",
      grant_types: ["client_credentials"], response_types: [], redirect_uris: [],
      id_token_signed_response_alg: algorithm,
    },
    {
      client_id: "console", token_endpoint_auth_method: "none", application_type: "native", ...codeFlow,
      id_token_signed_response_alg: algorithm,
    },
    {
      client_id: "other", token_endpoint_auth_method: "none", application_type: "native", ...codeFlow,
      id_token_signed_response_alg: algorithm,
    },
    {
      client_id: "cli", token_endpoint_auth_method: "none", application_type: "native",
      grant_types: ["urn:ietf:params:oauth:grant-type:device_code"], response_types: [], redirect_uris: [],
      id_token_signed_response_alg: algorithm,
    },
  ],
  enabledJWA: { idTokenSigningAlgValues: [algorithm] },
  claims: { openid: ["sub", "groups", "preferred_username"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  acrValues: ["phr"],
  scopes: ["openid", "email", "nats.connect"],
  cookies: { keys: ["of a test only"] },
  extraTokenClaims: async (ctx, token) =>
    wish.groups_in_access_tokens && token.accountId ? { groups: wish.users[token.accountId]?.groups } : undefined,
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...wish.users[id] }) }),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "nats.connect", audience, accessTokenTTL: 300, accessTokenFormat: "jwt", jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});
const server = provider.listen(wish.port, "127.0.0.1", () => console.log("ready"));
process.on("SIGTERM", () => {
  server.closeAllConnections();
  server.close(() => process.exit(0));
});
