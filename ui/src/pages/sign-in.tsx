// Shown instead of a page while the server wants a token. The token stays in this tab.
import { token } from '../state/token';

export function SignIn() {
  const refused = token.read() !== null;
  return (
    <form
      class="card sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        const given = new FormData(event.currentTarget).get('token');
        if (typeof given === 'string' && given) token.give(given);
      }}
    >
      <h1>Sign in</h1>
      <p>This server answers only to those who have its token (<code>auth_token</code> in its configuration).</p>
      {refused && <p class="bad" role="alert">The server refused this token.</p>}
      <label for="token">Token</label>
      <input id="token" name="token" type="password" autocomplete="current-password" required autofocus />
      <button type="submit" class="strong">Sign in</button>
      <p class="faint">It is kept in this tab only, until you close it.</p>
    </form>
  );
}
