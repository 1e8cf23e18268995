import { scan } from 'react-scan';

scan({ enabled: true, dangerouslyForceRunInProduction: true, showToolbar: false });
